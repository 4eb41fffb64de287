use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n rest";

/// A server on loopback that sends these bytes to each request. With `hangs`, nothing more comes after them.
async fn server(answer: Vec<u8>, hangs: bool) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(&answer).await;
                if hangs {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    address
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes(), body].concat()
}

fn fetcher(allow_loopback: bool) -> LogoFetcher {
    let tls = http_client::tls(&[].into_iter().collect()).unwrap();
    LogoFetcher { tls, allow_loopback }
}

async fn fetched(answer: Vec<u8>) -> Result<Logo, FetchError> {
    let address = server(answer, false).await;
    fetcher(true).fetch(&format!("http://{address}/logo")).await
}

#[tokio::test]
async fn an_image_is_known_by_its_first_bytes_whatever_the_server_calls_it() {
    let logo = fetched(answer("200 OK\r\ncontent-type: text/html", PNG)).await.unwrap();
    assert_eq!((logo.media_type, &*logo.bytes), (ImageType::Png, PNG));
}

#[tokio::test]
async fn what_is_no_image_or_has_another_status_is_refused() {
    let html = fetched(answer("200 OK\r\ncontent-type: image/png", b"<html><svg></svg></html>")).await;
    assert!(matches!(html, Err(FetchError::NoImage)), "{html:?}");
    let empty = fetched(answer("200 OK", b"")).await;
    assert!(matches!(empty, Err(FetchError::NoImage)), "{empty:?}");
    let missing = fetched(answer("404 Not Found", PNG)).await;
    assert!(matches!(missing, Err(FetchError::Status(404))), "{missing:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = server(answer("200 OK", PNG), false).await;
    let redirect = fetched(answer(&format!("302 Found\r\nlocation: http://{target}/"), b"")).await;
    assert!(matches!(redirect, Err(FetchError::Status(302))), "{redirect:?}");
}

#[tokio::test]
async fn an_image_of_32_kib_is_taken_and_a_larger_one_is_not() {
    let of = |size: usize| [PNG, &vec![0; size - PNG.len()]].concat();
    assert_eq!(fetched(answer("200 OK", &of(MAX_LOGO))).await.unwrap().bytes.len(), MAX_LOGO);
    let larger = fetched(answer("200 OK", &of(MAX_LOGO + 1))).await;
    assert!(matches!(larger, Err(FetchError::TooLarge)), "{larger:?}");
    // It does not end.
    let address = server(answer("200 OK", &of(MAX_LOGO * 4)), true).await;
    let endless = fetcher(true).fetch(&format!("http://{address}/")).await;
    assert!(matches!(endless, Err(FetchError::TooLarge)), "{endless:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up() {
    for part in [Vec::new(), answer("200 OK", &PNG[..4])] {
        let address = server(part, true).await;
        let slow = fetcher(true).fetch(&format!("http://{address}/")).await;
        assert!(matches!(slow, Err(FetchError::Timeout)), "{slow:?}");
    }
}

/// Every name is this machine's.
struct Here;

impl Resolve for Here {
    fn resolve(&self, _: Name) -> Resolving {
        let found = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Box::pin(async move { Ok(Box::new(std::iter::once(found)) as Addrs) })
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_asked() {
    let address = server(answer("200 OK", PNG), false).await;
    for url in
        [format!("http://{address}/"), format!("https://{address}/"), "https://10.0.0.1/".into(), "file:///x".into()]
    {
        let refused = fetcher(false).fetch(&url).await;
        assert!(matches!(refused, Err(FetchError::Url(_))), "{url}: {refused:?}");
    }
    let named = fetcher(false).fetch_with(&format!("https://logo.example:{}/", address.port()), Here).await;
    assert!(matches!(named, Err(FetchError::Address)), "{named:?}");
}
