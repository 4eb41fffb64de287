use std::process::ExitCode;

use reauth_core::{lambda, web};

#[global_allocator]
static ALLOCATOR: lambda::Allocator = lambda::Allocator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    web::serve::<events::Events>(env!("CARGO_PKG_NAME")).await
}
