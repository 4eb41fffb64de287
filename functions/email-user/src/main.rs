use std::process::ExitCode;

use reauth_core::lambda;

#[global_allocator]
static ALLOCATOR: lambda::Allocator = lambda::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::serve::<email_user::EmailUser>(env!("CARGO_PKG_NAME")).await
}
