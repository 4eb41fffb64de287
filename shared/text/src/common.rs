//! Dates, lists and waiting times, each in the language's own form.

use std::time::Duration;

use fluent_bundle::{FluentError, FluentResource, FluentValue, concurrent::FluentBundle};
use jiff::civil::Date;

use crate::{Name, Text, Texts, name};

messages! {
    /// The name of a service at the beginning of a sentence or alone.
    service_start(service: Name<'_>);
    /// The name of the application, alone.
    application_start(application: Name<'_>);
    calendar_date(day: i8, month: i8, year: i16);
    list_of_two(first: &Text, second: &Text);
    /// The beginning of a list of three or more.
    list_beginning(list: &Text, next: &Text);
    list_end(list: &Text, last: &Text);
    seconds(count: u64);
    minutes(count: u64);
}

impl Texts {
    /// A date, such as `23 November 2026`.
    #[must_use]
    pub fn date(&self, date: Date) -> Text {
        self.calendar_date(date.day(), date.month(), date.year())
    }

    /// A list, such as `A, B and C`. Empty without an item.
    #[must_use]
    pub fn list(&self, items: &[Text]) -> Text {
        match items {
            [] => Text(String::new()),
            [only] => only.clone(),
            [first, second] => self.list_of_two(first, second),
            [first, middle @ .., last] => {
                let beginning = middle.iter().fold(first.clone(), |list, next| self.list_beginning(&list, next));
                self.list_end(&beginning, last)
            }
        }
    }

    /// A waiting time: in minutes, rounded up, or in seconds when it is below one minute.
    #[must_use]
    pub fn waiting_time(&self, wait: Duration) -> Text {
        match wait.as_secs().max(1) {
            seconds @ 0..60 => self.seconds(seconds),
            seconds => self.minutes(seconds.div_ceil(60)),
        }
    }
}

/// The functions of the files: `STARTS-WITH-I`, with which Spanish chooses between "y" and "e".
pub(crate) fn add_functions(bundle: &mut FluentBundle<FluentResource>) -> Result<(), FluentError> {
    bundle.add_function("STARTS-WITH-I", |positional, _| {
        let Some(FluentValue::String(text)) = positional.first() else { return FluentValue::Error };
        let word = text.trim_start_matches(name::ISOLATE).to_lowercase();
        let starts = (word.starts_with(['i', 'í']) || word.starts_with("hi") || word.starts_with("hí"))
            // The diphthongs of "hierba" and "yate" keep "y".
            && !["hie", "hia", "io", "ia"].iter().any(|diphthong| word.starts_with(diphthong));
        if starts { "yes".into() } else { "no".into() }
    })
}
