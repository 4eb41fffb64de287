//! Images within a page.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, Render, html};

/// An image that is part of the page: a `data:` URI. It decorates the name beside it, so that its alternative text is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(Arc<str>);

impl Image {
    /// `media_type` is one of [`crate::logos::ImageType`]'s.
    #[must_use]
    pub fn new(media_type: &str, bytes: &[u8]) -> Self {
        Self(format!("data:{media_type};base64,{}", STANDARD.encode(bytes)).into())
    }
}

impl Render for Image {
    fn render(&self) -> Markup {
        html! { img src=(self.0) alt=""; }
    }
}
