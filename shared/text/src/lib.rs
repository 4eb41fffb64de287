//! The texts of the pages and mails, in seven languages. The texts of a language are in `locales/<tag>/`, in Fluent's syntax:
//! `common.ftl` has dates, lists and waiting times, `pages.ftl` the pages, `mail.ftl` the mails.
//!
//! Each message is a method of [`Texts`], so that a caller cannot name a message that does not exist, or leave out a variable.
//! Tests compare the methods with the files of every language, and with their callers.

#[macro_use]
mod message;
mod common;
mod language;
mod mail;
mod name;
mod pages;
#[cfg(test)]
mod tests;
mod texts;

pub use language::Language;
pub use message::Text;
pub use name::Name;
pub use texts::Texts;
