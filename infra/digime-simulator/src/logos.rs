//! `GET /logos/{name}.svg`: a logo for each service: its initial on a colour of its own.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;

/// Dark enough for a white letter.
const COLORS: [&str; 6] = ["#0b6e4f", "#a23b72", "#8a4b08", "#1f5fa8", "#6b3fa0", "#9c2f2f"];

pub(crate) async fn show(Path(file): Path<String>) -> Response {
    let Some(name) = file.strip_suffix(".svg").filter(|name| !name.is_empty() && name.len() <= 100) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let initial = name.chars().next().unwrap_or_default().to_uppercase().to_string();
    let color = COLORS[name.bytes().map(usize::from).sum::<usize>() % COLORS.len()];
    let image = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" width="48" height="48" {
            rect width="48" height="48" rx="10" fill=(color) {}
            text x="24" y="33" font-family="sans-serif" font-size="26" font-weight="700" text-anchor="middle" fill="#fff" { (initial) }
        }
    };
    ([(header::CONTENT_TYPE, "image/svg+xml")], image.into_string()).into_response()
}
