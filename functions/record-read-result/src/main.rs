//! The Lambda binary.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    reauth_core::lambda::serve::<record_read_result::RecordReadResult>().await
}
