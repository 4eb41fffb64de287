//! The simulator over real HTTP, from the outside: what it accepts, refuses and breaks.

mod client;
mod consent;
mod control;
mod flows;
mod management;
mod onboarding;
mod requests;
mod tokens;
mod user_page;
