//! The console's buttons.

use std::time::Duration;

use digime_simulator::{AccessTokenStatus, ErrorShape, Failure, KeyForm};

use super::Console;
use crate::{demo, names::Queue};

/// The latency of a slow digi.me: noticeable, but shorter than the functions' timeouts.
const SLOW: Duration = Duration::from_secs(2);
/// More failures than requests are made until the action "normal" ends them.
const ALL: u32 = 100_000;

/// Runs an action. Returns a sentence about the result.
pub(super) async fn pull(console: &Console, action: &str, user: &str, target: &str) -> String {
    let control = &console.control;
    let of_account = |found: bool, done: &str| match found {
        true => format!("{target}: {done}."),
        false => format!("digi.me knows no account {target}."),
    };
    match action {
        "read" => match console.application.read(user).await {
            Ok(()) => "A read was run, and its result handed in.".to_owned(),
            Err(error) => format!("The read did not work: {error}."),
        },
        "break" => {
            of_account(control.break_account(target, ErrorShape::Documented), "the source withdrew its authorization")
        }
        "break-sdk" => of_account(
            control.break_account(target, ErrorShape::Sdk),
            "the source withdrew its authorization (SDK's shape)",
        ),
        "mend" => of_account(control.mend_account(target), "the source lets digi.me in again"),
        "expire-access" => format!("{} access tokens of {user} expired.", control.expire_access_tokens(user)),
        "kill-refresh" => format!("{} refresh tokens of {user} are dead.", control.kill_refresh_tokens(user)),
        "store-grant" => match demo::store_grant(control, &console.application, user).await {
            Ok(()) => format!("{user} authorized anew; the service has the new grant."),
            Err(error) => format!("The grant was not stored: {error}."),
        },
        "slow" => {
            control.set_latency(None, SLOW);
            "digi.me takes 2 seconds for everything.".to_owned()
        }
        "failing" => {
            control.fail("/v1.7/*", Failure::status(500, ALL));
            "digi.me answers 500.".to_owned()
        }
        "normal" => {
            control.set_latency(None, Duration::ZERO);
            control.clear_failures();
            "digi.me works.".to_owned()
        }
        "status-reported" => {
            control.set_access_token_status(AccessTokenStatus::Reported);
            "digi.me tells which accounts are authorized.".to_owned()
        }
        "status-absent" => {
            control.set_access_token_status(AccessTokenStatus::Absent);
            "digi.me does not tell which accounts are authorized.".to_owned()
        }
        "rotate-key" => match control.rotate_signing_key(KeyForm::Pkcs1) {
            Ok(()) => "digi.me signs with a new key.".to_owned(),
            Err(error) => format!("The key could not be rotated: {error}."),
        },
        "redrive" => match Queue::by_name(target).map(|queue| console.queues.redrive(queue)) {
            Some(Ok(count)) => format!("{count} dead letters are on {target} again."),
            Some(Err(error)) => format!("The dead letters could not be moved: {error}."),
            None => "There is no such queue.".to_owned(),
        },
        _ => "There is no such action.".to_owned(),
    }
}
