//! The console's buttons.

use digime_simulator::{AccessTokenStatus, ControlCall, ErrorShape, Failure, KeyForm, SettingsChange};

use super::Console;
use crate::{demo, names::Queue};

/// In milliseconds. The latency of a slow digi.me: noticeable, but shorter than the functions' timeouts.
const SLOW: u64 = 2_000;
/// The path of the page on which a user authorizes the application again.
const USER_PAGE: &str = "/apps/saas/user-reauth";
/// More failures than requests are made until the button "Normal" ends them.
const ALL: u32 = 100_000;

/// A button. It posts a form with a user and a target to `/console/control/<name>`.
pub(super) struct Button {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    action: Action,
    /// What has happened once the button has worked.
    done: &'static str,
}

/// What a button does. The target is an account or a queue.
enum Action {
    /// Runs a read of the demo application.
    Read,
    /// Stores a new grant in the service, as after a new authorization.
    StoreGrant,
    /// Moves the dead letters of a queue back to it.
    Redrive,
    /// Changes the simulated digi.me. The arguments are the user and the target.
    Control(fn(&str, &str) -> Vec<ControlCall>),
}

pub(super) const READ: Button = Button {
    name: "read",
    label: "Run a read",
    action: Action::Read,
    done: "The application ran a read and handed in its result.",
};

pub(super) const REDRIVE: Button = Button {
    name: "redrive",
    label: "Redrive",
    action: Action::Redrive,
    done: "The dead letters were moved back to the queue.",
};

/// The buttons of an account that is authorized.
pub(super) const AUTHORIZED: [Button; 2] = [
    Button {
        name: "break",
        label: "Break",
        action: Action::Control(|_, account| vec![break_account(account, ErrorShape::Documented)]),
        done: "the source withdrew its authorization.",
    },
    Button {
        name: "break-sdk",
        label: "Break (SDK shape)",
        action: Action::Control(|_, account| vec![break_account(account, ErrorShape::Sdk)]),
        done: "the source withdrew its authorization. Reads report it in the SDKs' shape.",
    },
];

/// The button of an account that is not authorized.
pub(super) const UNAUTHORIZED: [Button; 1] = [Button {
    name: "mend",
    label: "Mend",
    action: Action::Control(|_, account| vec![ControlCall::MendAccount { account_id: account.to_owned() }]),
    done: "the source is authorized again.",
}];

/// The buttons for digi.me as a whole, in rows.
pub(super) const DIGIME: [&[Button]; 3] = [
    &[
        Button {
            name: "expire-access",
            label: "Expire the access tokens",
            action: Action::Control(|user, _| vec![ControlCall::ExpireAccessTokens { user_id: user.to_owned() }]),
            done: "The user's access tokens have expired.",
        },
        Button {
            name: "kill-refresh",
            label: "Invalidate the refresh tokens",
            action: Action::Control(|user, _| vec![ControlCall::KillRefreshTokens { user_id: user.to_owned() }]),
            done: "The user's refresh tokens are invalid.",
        },
        Button {
            name: "revoke-tokens",
            label: "Revoke all tokens",
            action: Action::Control(|user, _| vec![ControlCall::RevokeTokens { user_id: user.to_owned() }]),
            done: "digi.me no longer knows the user's tokens.",
        },
        Button {
            name: "store-grant",
            label: "Store a new grant",
            action: Action::StoreGrant,
            done: "The user authorized again, and the service has the new grant.",
        },
        Button {
            name: "rotate-key",
            label: "Rotate the signing key",
            action: Action::Control(|_, _| vec![ControlCall::RotateSigningKey { form: KeyForm::Pkcs1 }]),
            done: "digi.me signs with a new key.",
        },
    ],
    &[
        Button {
            name: "slow",
            label: "Slow (2 s)",
            action: Action::Control(|_, _| vec![latency(None, SLOW)]),
            done: "digi.me answers after 2 seconds.",
        },
        Button {
            name: "slow-user-page",
            label: "Slow user reauthorization page (2 s)",
            action: Action::Control(|_, _| vec![latency(Some(USER_PAGE), SLOW)]),
            done: "digi.me's user reauthorization page answers after 2 seconds.",
        },
        Button {
            name: "failing",
            label: "Failing (500)",
            action: Action::Control(|_, _| {
                vec![ControlCall::Fail { path: "/v1.7/*".to_owned(), failure: Failure::status(500, ALL) }]
            }),
            done: "digi.me answers 500.",
        },
        Button {
            name: "normal",
            label: "Normal",
            // A latency of 0 without a path ends no latency that was set for a path.
            action: Action::Control(|_, _| {
                vec![latency(None, 0), latency(Some(USER_PAGE), 0), ControlCall::ClearFailures]
            }),
            done: "digi.me answers without delay and without errors.",
        },
    ],
    &[
        Button {
            name: "status-absent",
            label: "Omit accessTokenStatus",
            action: Action::Control(|_, _| vec![access_token_status(AccessTokenStatus::Absent)]),
            done: "digi.me does not report which accounts are authorized.",
        },
        Button {
            name: "status-reported",
            label: "Report accessTokenStatus",
            action: Action::Control(|_, _| vec![access_token_status(AccessTokenStatus::Reported)]),
            done: "digi.me reports which accounts are authorized.",
        },
    ],
];

fn break_account(account: &str, shape: ErrorShape) -> ControlCall {
    ControlCall::BreakAccount { account_id: account.to_owned(), shape }
}

fn latency(path_prefix: Option<&str>, milliseconds: u64) -> ControlCall {
    ControlCall::SetLatency { path_prefix: path_prefix.map(str::to_owned), milliseconds }
}

fn access_token_status(status: AccessTokenStatus) -> ControlCall {
    ControlCall::ChangeSettings(SettingsChange { access_token_status: Some(status), ..SettingsChange::default() })
}

/// The button with the given name.
pub(super) fn by_name(name: &str) -> Option<&'static Button> {
    let digime = DIGIME.into_iter().flatten();
    [&READ, &REDRIVE]
        .into_iter()
        .chain(&AUTHORIZED)
        .chain(&UNAUTHORIZED)
        .chain(digime)
        .find(|button| button.name == name)
}

impl Button {
    /// Carries out the button's action. Returns a sentence about the result.
    pub(super) async fn run(&self, console: &Console, user: &str, target: &str) -> String {
        let subject = if target.is_empty() { String::new() } else { format!("{target}: ") };
        match self.carry_out(console, user, target).await {
            Ok(()) => format!("{subject}{}", self.done),
            Err(error) => format!("{subject}\"{}\" did not work: {error}.", self.label),
        }
    }

    async fn carry_out(&self, console: &Console, user: &str, target: &str) -> Result<(), String> {
        match self.action {
            Action::Read => console.application.read(user).await.map_err(|error| error.to_string()),
            Action::StoreGrant => demo::store_grant(&console.control, &console.application, user).await,
            Action::Redrive => {
                let queue = Queue::by_name(target).ok_or("there is no such queue")?;
                console.queues.redrive(queue).map(drop).map_err(|error| error.to_string())
            }
            Action::Control(calls) => calls(user, target)
                .into_iter()
                .try_for_each(|call| console.control.call(call).map(drop))
                .map_err(|error| error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use digime_simulator::{Control, Simulator};

    use super::*;

    /// The control calls of a button, for the user ann.
    fn calls(button: &Button) -> Vec<ControlCall> {
        match button.action {
            Action::Control(calls) => calls("ann", ""),
            _ => Vec::new(),
        }
    }

    fn press(control: &Control, name: &str) {
        for call in calls(by_name(name).expect("a button")) {
            control.call(call).expect("carried out");
        }
    }

    #[test]
    fn no_two_buttons_have_the_same_name() {
        let names: Vec<_> = DIGIME.iter().copied().flatten().chain(&AUTHORIZED).chain(&UNAUTHORIZED).collect();
        let names: Vec<_> = names.into_iter().chain([&READ, &REDRIVE]).map(|button| button.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| by_name(name).is_some()));
    }

    #[tokio::test]
    async fn revoke_all_tokens_leaves_the_user_without_tokens() {
        let simulator = Simulator::builder().start().await.unwrap();
        let control = simulator.control();
        for user in ["ann", "ben"] {
            control.issue_tokens(user, "contract");
        }
        press(&control, "revoke-tokens");
        assert_eq!((control.revoke_tokens("ann"), control.revoke_tokens("ben")), (0, 1));
    }

    #[tokio::test]
    async fn slow_user_page_delays_the_page_of_the_simulator() {
        let simulator = Simulator::builder().start().await.unwrap();
        press(&simulator.control(), "slow-user-page");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(50)).build().unwrap();
        let answer = http.get(simulator.onboard_url().join("user-reauth").unwrap()).send().await;
        assert!(answer.is_err_and(|error| error.is_timeout()));
    }

    #[test]
    fn normal_ends_each_latency_that_a_button_sets() {
        let latencies = |button| {
            calls(button).into_iter().filter_map(|call| match call {
                ControlCall::SetLatency { path_prefix, milliseconds } => Some((path_prefix, milliseconds)),
                _ => None,
            })
        };
        let ended: Vec<_> = latencies(by_name("normal").unwrap()).collect();
        let buttons = DIGIME.into_iter().flatten();
        let set: Vec<_> = buttons.flat_map(latencies).filter(|(_, milliseconds)| *milliseconds > 0).collect();
        assert!(!set.is_empty());
        for (path_prefix, _) in set {
            assert!(ended.contains(&(path_prefix.clone(), 0)), "{path_prefix:?}");
        }
    }
}
