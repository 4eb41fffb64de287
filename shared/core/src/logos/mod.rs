//! Logos of services and of the application: fetched by the sweep, stored, and shown as a part of a page. A browser that loaded
//! them from their own servers would tell these who reconnects what.

mod cache;
mod image_type;

pub use self::{cache::LogoCache, image_type::ImageType};

/// In bytes. An item of DynamoDB holds up to 400 KB, and a page contains several logos.
pub const MAX_LOGO: usize = 32 * 1_024;

/// A logo as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    pub bytes: Vec<u8>,
    pub media_type: ImageType,
}
