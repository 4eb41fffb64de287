//! The Fluent bundle of a language.

use std::sync::OnceLock;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};

use crate::{Language, Text, common};

/// The files of a language.
macro_rules! files {
    ($language:literal) => {
        [
            include_str!(concat!("../locales/", $language, "/common.ftl")),
            include_str!(concat!("../locales/", $language, "/pages.ftl")),
            include_str!(concat!("../locales/", $language, "/mail.ftl")),
        ]
    };
}

static TEXTS: [OnceLock<Texts>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];

/// The texts of one language: a method for each message.
pub struct Texts {
    language: Language,
    bundle: FluentBundle<FluentResource>,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Texts").field(&self.language).finish()
    }
}

impl Texts {
    /// The texts of a language. Its files are parsed once in a process.
    #[must_use]
    pub fn of(language: Language) -> &'static Self {
        TEXTS[language as usize].get_or_init(|| Self::new(language))
    }

    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    fn new(language: Language) -> Self {
        let mut bundle = FluentBundle::new_concurrent(vec![language.identifier()]);
        // Names are isolated where they are inserted ([`crate::Name`]). Numbers and dates need no isolation.
        bundle.set_use_isolating(false);
        let added = common::add_functions(&mut bundle);
        debug_assert!(added.is_ok(), "{added:?}");
        for source in sources(language) {
            // What could be read of a mistaken file is used. The tests refuse a mistaken file.
            let (Ok(resource) | Err((resource, _))) = FluentResource::try_new(source.to_owned());
            let added = bundle.add_resource(resource);
            debug_assert!(added.is_ok(), "{language:?}: {added:?}");
        }
        Self { language, bundle }
    }

    pub(crate) fn format(&self, id: &str, arguments: &[(&'static str, FluentValue<'_>)]) -> Text {
        let arguments: FluentArgs<'_> = arguments.iter().map(|(name, value)| (*name, value.clone())).collect();
        let Some(pattern) = self.bundle.get_message(id).and_then(|message| message.value()) else {
            debug_assert!(false, "{:?} has no message {id}", self.language);
            return Text(id.to_owned());
        };
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(&arguments), &mut errors).into_owned();
        debug_assert!(errors.is_empty(), "{:?} {id}: {errors:?}", self.language);
        Text(text)
    }
}

pub(crate) const fn sources(language: Language) -> [&'static str; 3] {
    match language {
        Language::English => files!("en"),
        Language::Dutch => files!("nl"),
        Language::German => files!("de"),
        Language::French => files!("fr"),
        Language::Spanish => files!("es"),
        Language::Portuguese => files!("pt"),
        Language::Italian => files!("it"),
    }
}
