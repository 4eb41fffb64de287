//! What the pages and mails of a deployment have in common: the application's name, colour and logo, whom its users turn to, and the language and
//! time zone of users of whom none is known.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::tz::TimeZone;
use reauth_domain::{Locale, contact::TimeZoneName};
use reauth_text::{Language, Name};
use url::Url;

use super::Color;
use crate::config::{ConfigError, Environment};

const STYLE: &str = include_str!("style.css");

/// The default of the parameter in an earlier version. A stack that was deployed with it still has it.
const NO_NAME: &str = "the application";

#[derive(Debug)]
pub struct Branding {
    color: Color,
    application: Option<String>,
    support_url: Option<Url>,
    logo_url: Option<Url>,
    default_language: Language,
    time_zone: TimeZone,
    style: String,
    style_hash: String,
}

impl Branding {
    /// From `APPLICATION_NAME`, `APPLICATION_COLOR`, `APPLICATION_LOGO_URL`, `SUPPORT_URL`, `DEFAULT_LOCALE` and `DEFAULT_TIME_ZONE`.
    ///
    /// # Errors
    /// When one of them is malformed.
    pub fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let logo_url = url(environment, "APPLICATION_LOGO_URL", &["https", "http"])?;
        Ok(Self { logo_url, ..Self::without_logo(environment)? })
    }

    /// As [`Branding::from_environment`], for mails, which have no images.
    ///
    /// # Errors
    /// When a variable is malformed.
    pub fn without_logo(environment: &Environment) -> Result<Self, ConfigError> {
        let color = environment.parsed("APPLICATION_COLOR")?.unwrap_or(Color::DEFAULT);
        let locale = environment.parsed::<Locale>("DEFAULT_LOCALE")?;
        let time_zone = environment.parsed::<TimeZoneName>("DEFAULT_TIME_ZONE")?;
        let style = format!("{}{STYLE}", variables(color));
        Ok(Self {
            color,
            application: environment.optional("APPLICATION_NAME").filter(|name| *name != NO_NAME).map(str::to_owned),
            support_url: url(environment, "SUPPORT_URL", &["https", "mailto"])?,
            logo_url: None,
            default_language: locale.and_then(|locale| locale.as_str().parse().ok()).unwrap_or(Language::English),
            time_zone: time_zone.map_or(TimeZone::UTC, |name| name.present_rule()),
            style_hash: STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes())),
            style,
        })
    }

    #[must_use]
    pub fn application(&self) -> Name<'_> {
        self.application.as_deref().into()
    }

    /// The application's name, if it is known.
    #[must_use]
    pub fn application_name(&self) -> Option<&str> {
        self.application.as_deref()
    }

    #[must_use]
    pub fn color(&self) -> Color {
        self.color
    }

    #[must_use]
    pub fn support_url(&self) -> Option<&Url> {
        self.support_url.as_ref()
    }

    /// Where the application's logo is fetched from. The pages show the stored copy.
    #[must_use]
    pub fn logo_url(&self) -> Option<&Url> {
        self.logo_url.as_ref()
    }

    #[must_use]
    pub fn default_language(&self) -> Language {
        self.default_language
    }

    pub(super) fn time_zone(&self) -> TimeZone {
        self.time_zone.clone()
    }

    pub(super) fn style(&self) -> &str {
        &self.style
    }

    pub(super) fn style_hash(&self) -> &str {
        &self.style_hash
    }
}

/// The colours of the style. Buttons have the application's colour as it is; links and focus rings have it as far as it is readable on
/// the page.
fn variables(brand: Color) -> String {
    let (light, dark) = (brand.readable_on(Color::LIGHT_PAGE), brand.readable_on(Color::DARK_CARD));
    let text = brand.text_on();
    format!(":root{{color-scheme:light dark;--brand:{brand};--on-brand:{text};--accent:light-dark({light},{dark})}}\n")
}

fn url(environment: &Environment, variable: &'static str, schemes: &[&str]) -> Result<Option<Url>, ConfigError> {
    let url: Option<Url> = environment.parsed(variable)?;
    if url.as_ref().is_some_and(|url| !schemes.contains(&url.scheme())) {
        return Err(ConfigError::new(variable, format!("must be a URL with {}", schemes.join(" or "))));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branding(variable: &str, value: &str) -> Result<Branding, ConfigError> {
        Branding::from_environment(&[(variable.to_owned(), value.to_owned())].into_iter().collect())
    }

    #[test]
    fn a_malformed_setting_is_named() {
        for (variable, value) in [
            ("APPLICATION_COLOR", "blue"),
            ("APPLICATION_LOGO_URL", "data:image/png,"),
            ("SUPPORT_URL", "javascript:alert(1)"),
            ("SUPPORT_URL", "/help"),
            ("DEFAULT_LOCALE", "!"),
        ] {
            assert_eq!(branding(variable, value).unwrap_err().variable, variable);
        }
    }

    /// A filter or another colour would change the contrast of the text, which is computed for the colours at rest.
    #[test]
    fn hovering_changes_no_colour() {
        let rules: Vec<_> = STYLE.split('}').filter_map(|rule| rule.split_once('{')).collect();
        let of_hover: Vec<_> = rules.iter().filter(|(selector, _)| selector.contains(":hover")).collect();
        assert_eq!(of_hover.len(), 1);
        for declaration in of_hover.iter().flat_map(|(_, declarations)| declarations.split(';')) {
            assert!(declaration.starts_with("text-"), "{declaration}");
        }
    }

    #[test]
    fn the_default_locale_is_the_default_language_if_it_is_one() {
        assert_eq!(branding("DEFAULT_LOCALE", "nl-BE").unwrap().default_language(), Language::Dutch);
        assert_eq!(branding("DEFAULT_LOCALE", "ja").unwrap().default_language(), Language::English);
        assert_eq!(branding("SUPPORT_URL", "mailto:help@example.com").unwrap().default_language(), Language::English);
    }
}
