//! The languages, and which of them a user reads.

use std::str::FromStr;

use fluent_langneg::{NegotiationStrategy, negotiate_languages};
use unic_langid::LanguageIdentifier;

/// A header with more is cut. Browsers send a few languages.
const MAX_ACCEPTED: usize = 32;

/// A language of the pages and mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    English,
    Dutch,
    German,
    French,
    Spanish,
    Portuguese,
    Italian,
}

/// A text that names none of the languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLanguage;

impl Language {
    pub const ALL: [Self; 7] =
        [Self::English, Self::Dutch, Self::German, Self::French, Self::Spanish, Self::Portuguese, Self::Italian];

    /// The BCP 47 tag, as the HTML attribute `lang` has it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Dutch => "nl",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            // Portuguese of Portugal: the plural rules of Brazil are others.
            Self::Portuguese => "pt-PT",
            Self::Italian => "it",
        }
    }

    /// The HTML attribute `dir`. Every language so far is written from left to right.
    #[must_use]
    pub const fn dir(self) -> &'static str {
        "ltr"
    }

    /// The first language of `wanted` that is known, then the best of `accept_language`, else `default`. `wanted` are BCP 47 tags
    /// in order of preference, such as the locale of the reauthorization and that of the contact. `accept_language` is the value of
    /// the header `Accept-Language`.
    #[must_use]
    pub fn negotiate<'a>(
        wanted: impl IntoIterator<Item = &'a str>,
        accept_language: Option<&str>,
        default: Self,
    ) -> Self {
        let wanted = wanted.into_iter().filter_map(|tag| tag.parse().ok());
        let requested: Vec<LanguageIdentifier> = wanted.chain(accepted(accept_language.unwrap_or_default())).collect();
        Self::first_of(&requested).unwrap_or(default)
    }

    fn first_of(requested: &[LanguageIdentifier]) -> Option<Self> {
        // By the bare language, so that `pt-BR` finds Portuguese too.
        let bare = |one: &LanguageIdentifier| LanguageIdentifier::from_parts(one.language, None, None, &[]);
        let requested: Vec<_> = requested.iter().map(bare).collect();
        let available = Self::ALL.map(|language| bare(&language.identifier()));
        let best = *negotiate_languages(&requested, &available, None, NegotiationStrategy::Lookup).first()?;
        available.iter().zip(Self::ALL).find_map(|(one, language)| (one == best).then_some(language))
    }

    pub(crate) fn identifier(self) -> LanguageIdentifier {
        self.tag().parse().unwrap_or_default()
    }
}

/// A BCP 47 tag, such as `nl-BE`.
impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(tag: &str) -> Result<Self, UnknownLanguage> {
        let identifier = tag.parse().map_err(|_| UnknownLanguage)?;
        Self::first_of(&[identifier]).ok_or(UnknownLanguage)
    }
}

/// The languages of an `Accept-Language` header, the most wanted first. `fluent_langneg` ignores the weights (RFC 9110, 12.5.4).
fn accepted(header: &str) -> impl Iterator<Item = LanguageIdentifier> {
    let mut weighted: Vec<(u16, LanguageIdentifier)> = header.split(',').take(MAX_ACCEPTED).filter_map(weigh).collect();
    // A stable sort: languages of the same weight stay in the order of the header.
    weighted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    weighted.into_iter().map(|(_, language)| language)
}

/// One element of the header, with its weight in thousandths. `None` for `*`, for a language with the weight 0 (not wanted), and for
/// what is not a language.
fn weigh(element: &str) -> Option<(u16, LanguageIdentifier)> {
    let mut parts = element.split(';');
    let tag = parts.next()?.trim();
    let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
    let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok())?;
    if tag == "*" || !(weight > 0.0 && weight <= 1.0) {
        return None;
    }
    let thousandths = (weight * 1000.0) as u16;
    Some((thousandths, tag.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(wanted: &[&str], header: &str) -> &'static str {
        Language::negotiate(wanted.iter().copied(), Some(header), Language::English).tag()
    }

    #[test]
    fn the_wanted_languages_come_before_those_of_the_browser() {
        assert_eq!(negotiate(&["nl-BE", "de"], "fr"), "nl");
        assert_eq!(negotiate(&["ja", "de-AT"], "fr"), "de");
        assert_eq!(negotiate(&["ja", "", "not a tag"], "fr-CA"), "fr");
        assert_eq!(negotiate(&[], "ja, zh-Hant-TW"), "en");
        assert_eq!(Language::negotiate([], None, Language::Italian), Language::Italian);
    }

    #[test]
    fn the_weights_of_a_browsers_languages_count() {
        for (header, expected) in [
            ("nl;q=0.5, de;q=0.9, *;q=0.1", "de"),
            ("da, en-GB;q=0.8, es;q=0.7", "en"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt-PT"),
            ("es-419, it", "es"),
            ("de;q=0, it;q=0.001", "it"),
            ("fr ; q=0.3 , it;q=0.30", "fr"),
            ("de;q=2, it", "it"),
            ("de;q=x, nl;q=0.2", "nl"),
            ("DE-at", "de"),
            ("*", "en"),
            (",;,q=1", "en"),
        ] {
            assert_eq!(negotiate(&[], header), expected, "{header}");
        }
    }

    #[test]
    fn a_tag_names_its_language() {
        for (tag, language) in
            [("en", Language::English), ("pt", Language::Portuguese), ("nl-Latn-BE", Language::Dutch)]
        {
            assert_eq!(tag.parse(), Ok(language));
        }
        for tag in ["", "ja", "english", "-"] {
            assert_eq!(tag.parse::<Language>(), Err(UnknownLanguage), "{tag:?}");
        }
    }

    /// Whatever a browser sends, the language is one that it accepts, or the default.
    #[test]
    fn fuzz_accept_language() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let header = String::from_utf8_lossy(bytes);
            let language = Language::negotiate([], Some(&header), Language::English);
            let name = &language.tag()[..2];
            let named = header.to_ascii_lowercase().contains(name);
            assert!(language == Language::English || named, "{header:?}");
        });
    }
}
