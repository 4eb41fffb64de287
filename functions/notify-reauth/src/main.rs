//! The Lambda binary.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    reauth_core::lambda::serve::<notify_reauth::NotifyReauth>().await
}
