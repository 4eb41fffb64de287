//! The types of images that pages show, recognized by their first bytes: servers name wrong types.

use std::str::FromStr;

/// In an `<img>`, browsers run no script of an SVG and load nothing that it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    Png,
    Jpeg,
    Gif,
    WebP,
    Svg,
}

impl ImageType {
    const ALL: [Self; 5] = [Self::Png, Self::Jpeg, Self::Gif, Self::WebP, Self::Svg];

    /// https://mimesniff.spec.whatwg.org/#image-type-pattern-matching-algorithm; for SVG, the document's element.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let begins = |start: &[u8]| bytes.starts_with(start);
        if begins(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if begins(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if begins(b"GIF87a") || begins(b"GIF89a") {
            Some(Self::Gif)
        } else if begins(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else {
            is_svg(std::str::from_utf8(bytes).ok()?).then_some(Self::Svg)
        }
    }

    /// The media type of a `data:` URI.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Svg => "image/svg+xml",
        }
    }
}

impl FromStr for ImageType {
    type Err = ();

    fn from_str(media_type: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|one| one.media_type() == media_type).ok_or(())
    }
}

/// Whether the first element is `svg`, after declarations, comments and a document type.
fn is_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<!") => ">",
            _ => break,
        };
        let Some((_, after)) = rest.split_once(end) else { return false };
        rest = after.trim_start();
    }
    let name = rest.strip_prefix("<svg");
    name.is_some_and(|after| after.starts_with(|next: char| next.is_whitespace() || matches!(next, '>' | '/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_recognized_by_its_first_bytes() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Some(ImageType::Png)),
            (b"\xff\xd8\xff\xe0..", Some(ImageType::Jpeg)),
            (b"GIF89a..", Some(ImageType::Gif)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(ImageType::WebP)),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", Some(ImageType::Svg)),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- a > b -->\n<!DOCTYPE svg>\n<svg>", Some(ImageType::Svg)),
            (b"<html><svg></svg></html>", None),
            (b"<svgs>", None),
            (b"<!-- never closed", None),
            (b"\x89PNG", None),
            (b"\xff\xfe<\0s\0", None),
            (b"", None),
        ] {
            assert_eq!(ImageType::of(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_media_type_reads_back() {
        for one in ImageType::ALL {
            assert_eq!(one.media_type().parse(), Ok(one));
        }
        assert_eq!("text/html".parse::<ImageType>(), Err(()));
    }
}
