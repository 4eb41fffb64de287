//! The Lambda binary.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    reauth_core::lambda::serve::<reauth_callback::ReauthCallback>().await
}
