//! The console's buttons.

use digime_simulator::{AccessTokenStatus, ControlCall, ErrorShape, Failure, KeyForm, SettingsChange};

use super::Console;
use crate::{demo, names::Queue};

/// In milliseconds. The latency of a slow digi.me: noticeable, but shorter than the functions' timeouts.
const SLOW: u64 = 2_000;
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
            label: "Expire the access token",
            action: Action::Control(|user, _| vec![ControlCall::ExpireAccessTokens { user_id: user.to_owned() }]),
            done: "The user's access tokens have expired.",
        },
        Button {
            name: "kill-refresh",
            label: "Invalidate the refresh token",
            action: Action::Control(|user, _| vec![ControlCall::KillRefreshTokens { user_id: user.to_owned() }]),
            done: "The user's refresh tokens are invalid.",
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
            action: Action::Control(|_, _| vec![latency(SLOW)]),
            done: "digi.me answers after 2 seconds.",
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
            action: Action::Control(|_, _| vec![latency(0), ControlCall::ClearFailures]),
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

fn latency(milliseconds: u64) -> ControlCall {
    ControlCall::SetLatency { path_prefix: None, milliseconds }
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_buttons_have_the_same_name() {
        let names: Vec<_> = DIGIME.iter().copied().flatten().chain(&AUTHORIZED).chain(&UNAUTHORIZED).collect();
        let names: Vec<_> = names.into_iter().chain([&READ, &REDRIVE]).map(|button| button.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| by_name(name).is_some()));
    }
}
