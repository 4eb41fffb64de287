//! The simulator over real HTTP, from the outside: what it accepts, refuses and breaks.

mod client;
mod consent;
mod flows;
mod levers;
mod management;
mod onboarding;
mod requests;
