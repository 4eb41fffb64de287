//! The stored logos, remembered in the process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
    time::Duration,
};

use digime::ambient::Ambient;
use futures::future::join_all;
use jiff::Timestamp;
use reauth_domain::time::after;

use crate::{error::Chain, store::Store, web::page::Image};

/// How long a stored logo is shown without reading it again.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// The same where there is no logo yet: the sweep fetches it within a minute or two.
const MISSING: Duration = Duration::from_secs(60);
/// More logos are not remembered at the same time: each has up to 32 KiB.
const MOST: usize = 200;

#[derive(Debug)]
pub struct LogoCache {
    store: Store,
    ambient: Ambient,
    known: Mutex<HashMap<String, Known>>,
}

/// A logo, or that there is none, and until when this is remembered.
#[derive(Debug, Clone)]
struct Known {
    image: Option<Image>,
    until: Timestamp,
}

impl LogoCache {
    #[must_use]
    pub fn new(store: &Store, ambient: &Ambient) -> Self {
        Self { store: store.clone(), ambient: ambient.clone(), known: Mutex::default() }
    }

    /// The logos of these URLs that are stored. A page is shown without a logo that cannot be read.
    pub async fn images<'a>(&self, urls: impl IntoIterator<Item = &'a str>) -> HashMap<String, Image> {
        let urls: BTreeSet<&str> = urls.into_iter().collect();
        let images =
            join_all(urls.into_iter().map(|url| async move { Some((url.to_owned(), self.image(url).await?)) }));
        images.await.into_iter().flatten().collect()
    }

    /// The logo of this URL, if it is remembered.
    #[must_use]
    pub fn remembered(&self, url: &str) -> Option<Image> {
        self.known(url)?.image
    }

    pub async fn image(&self, url: &str) -> Option<Image> {
        if let Some(known) = self.known(url) {
            return known.image;
        }
        match self.store.logo(url).await {
            Ok(logo) => {
                let image = logo.map(|logo| Image::new(logo.media_type.media_type(), &logo.bytes));
                self.remember(url, image.clone());
                image
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "pages: could not read a logo");
                None
            }
        }
    }

    fn known(&self, url: &str) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(url).filter(|known| self.ambient.now() < known.until).cloned()
    }

    fn remember(&self, url: &str, image: Option<Image>) {
        let now = self.ambient.now();
        let until = after(now, if image.is_some() { REMEMBERED } else { MISSING });
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(url.to_owned(), Known { image, until });
    }
}
