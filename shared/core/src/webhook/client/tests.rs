use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, mpsc},
};

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::time::timeout;

use super::{
    receiver::{Certificate, HERE, Receiver, Reply},
    *,
};

const BODY: &str = r#"{"type":"account.removed","data":{"eventId":"evt_1","userId":"user-17"}}"#;
/// Longer than a certificate of these tests is used.
const VALID: i32 = 4_000;
/// What a test that must not wait at all may take. Time stands still while it runs.
const AT_ONCE: Duration = Duration::from_millis(1);

fn text(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers with one list of addresses after the other. The last one stays.
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Answers {
    fn new(answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Self(Mutex::new(answers.iter().map(parse).collect()))
    }
}

impl Resolve for Answers {
    fn resolve(&self, _: Name) -> Resolving {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        let found = answer.into_iter().map(|address| SocketAddr::new(address, 0));
        Box::pin(async { Ok(Box::new(found) as Addrs) })
    }
}

fn no_authorities() -> ClientConfig {
    Certificate::new("nobody.example", VALID).trusted()
}

/// A client of a receiver without TLS.
fn plain(receiver: &Receiver) -> Client {
    let url = format!("http://{}/hooks?key=k-1-secret", receiver.address).parse().unwrap();
    Client::new(no_authorities(), url, Reach::Loopback)
}

/// A client of `https://app.example` with this port, which resolves to this machine.
fn with_tls(receiver: &Receiver, tls: ClientConfig) -> Client {
    let url = format!("https://app.example:{}/hooks", receiver.address.port()).parse().unwrap();
    Client::with_resolver(tls, url, Reach::PublicAndLoopback, Answers::new(&[&[&HERE.to_string()]]))
}

async fn post(client: &Client) -> PostResult {
    client.post(vec![("webhook-id", "evt_1".to_owned())], BODY, &Ambient::system()).await
}

/// What becomes of a post that gets this reply. It takes no time.
async fn answered(reply: Reply) -> PostResult {
    let receiver = Receiver::plain(reply).await;
    let clock = StoppedClock::new();
    let result = post(&plain(&receiver)).await;
    drop(clock);
    result
}

fn refused(status: u16, response: &str, retry_after: Option<u64>) -> PostResult {
    let retry_after = retry_after.map(Duration::from_secs);
    PostResult::Refused(Refusal { status, response: response.to_owned(), retry_after })
}

/// While it lives, the time of a test with a paused clock stands still. Afterwards, it moves on when nothing else happens.
struct StoppedClock {
    _held: mpsc::Sender<()>,
}

impl StoppedClock {
    fn new() -> Self {
        let (held, released) = mpsc::channel::<()>();
        // Tokio does not move the time while such a task runs.
        tokio::task::spawn_blocking(move || released.recv());
        Self { _held: held }
    }
}

/// The result of a post that takes exactly this long once the receiver says nothing more.
async fn after(time: Duration, client: &Client, receiver: &Receiver) -> PostResult {
    let clock = StoppedClock::new();
    let mut post = pin!(post(client));
    tokio::select! {
        _ = &mut post => panic!("the receiver has not answered"),
        () = receiver.is_over() => {}
    }
    drop(clock);
    assert_eq!(timeout(time - AT_ONCE, &mut post).await, Err(timeout_error().await));
    timeout(2 * AT_ONCE, post).await.unwrap()
}

async fn timeout_error() -> tokio::time::error::Elapsed {
    timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err()
}

#[tokio::test]
async fn an_event_is_posted_once_with_its_headers() {
    let mut receiver = Receiver::plain(Reply::Text(text("204 No Content", ""))).await;
    assert_eq!(post(&plain(&receiver)).await, PostResult::Accepted { status: 204 });
    let request = receiver.requests.recv().await.unwrap();
    assert!(request.head.starts_with("POST /hooks?key=k-1-secret HTTP/1.1\r\n"), "{}", request.head);
    for header in ["content-type: application/json\r\n", "webhook-id: evt_1\r\n", "user-agent: digime-reauth/"] {
        assert!(request.head.contains(header), "{}", request.head);
    }
    assert_eq!(request.body, BODY);
    assert!(receiver.requests.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn every_2xx_is_an_acceptance_and_everything_else_is_not() {
    for status in [200, 201, 204, 299] {
        let result = answered(Reply::Text(text(&format!("{status} x"), ""))).await;
        assert_eq!(result, PostResult::Accepted { status });
    }
    for status in [300, 304, 400, 410, 500, 599] {
        assert_eq!(answered(Reply::Text(text(&format!("{status} x"), ""))).await, refused(status, "", None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_the_receiver_said() {
    let result = answered(Reply::Text(text("410 Gone", "no such\nreceiver"))).await;
    assert_eq!(result, refused(410, "no such receiver", None));
    let result = answered(Reply::Text(text("404 Not Found", "Cannot POST /hooks?key=k-1-secret for user-17"))).await;
    assert_eq!(result, refused(404, "Cannot POST … for …", None));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_can_ask_for_time_in_seconds_and_until_a_date() {
    let seconds = answered(Reply::Text(text("429 Too Many Requests\r\nretry-after: 120", "slow down"))).await;
    assert_eq!(seconds, refused(429, "slow down", Some(120)));
    let date = answered(Reply::Text(text("503 x\r\nRetry-After: Fri, 01 Jan 2100 00:00:00 GMT", ""))).await;
    assert_eq!(date, refused(503, "", Some(24 * 60 * 60)));
    let past = answered(Reply::Text(text("502 x\r\nRetry-After: Fri, 01 Jan 2010 00:00:00 GMT", ""))).await;
    assert_eq!(past, refused(502, "", Some(0)));
    let none = answered(Reply::Text(text("504 x\r\nRetry-After: later", ""))).await;
    assert_eq!(none, refused(504, "", None));
}

#[tokio::test]
async fn connections_are_used_again_after_small_answers_and_not_after_large_ones() {
    for (head, length, connections) in
        [("200 OK", 100, 1), ("500 x", 16_000, 1), ("200 OK", 100_000, 2), ("500 x", 100_000, 2)]
    {
        let receiver = Receiver::plain(Reply::Text(text(head, &"x".repeat(length)))).await;
        let client = plain(&receiver);
        let (first, second) = (post(&client).await, post(&client).await);
        assert_eq!(first, second);
        assert_eq!(receiver.connections(), connections, "{head} {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_answer_takes_15_seconds() {
    for begin in ["", "HTTP/1.1 ", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"] {
        let receiver = Receiver::plain(Reply::ThenHang(begin.to_owned())).await;
        let result = after(Duration::from_secs(15), &plain(&receiver), &receiver).await;
        assert_eq!(result, PostResult::Failed(PostError::Timeout), "{begin}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_counts_though_its_body_does_not_end() {
    let begin = |status| format!("HTTP/1.1 {status} x\r\ncontent-length: 100\r\n\r\nto be continued");
    let receiver = Receiver::plain(Reply::ThenHang(begin(410))).await;
    assert_eq!(
        after(Duration::from_secs(15), &plain(&receiver), &receiver).await,
        refused(410, "to be continued", None)
    );
    let receiver = Receiver::plain(Reply::ThenHang(begin(200))).await;
    let result = after(Duration::from_secs(1), &plain(&receiver), &receiver).await;
    assert_eq!(result, PostResult::Accepted { status: 200 });
    // A body that is cut short.
    assert_eq!(answered(Reply::ThenClose(begin(500))).await, refused(500, "to be continued", None));
    assert_eq!(answered(Reply::ThenClose(begin(202))).await, PostResult::Accepted { status: 202 });
}

#[tokio::test(start_paused = true)]
async fn of_an_endless_or_huge_answer_the_beginning_is_read() {
    let bodies = [
        ("transfer-encoding: chunked\r\n\r\n", "400\r\n", "\r\n"),
        ("content-length: 100000000000\r\n\r\n", "", ""),
        ("\r\n", "", ""),
    ];
    for (head, before, after) in bodies {
        for status in [200, 500] {
            let first = format!("HTTP/1.1 {status} x\r\n{head}");
            let chunk = format!("{before}{}{after}", "x".repeat(1_024));
            let receiver = Receiver::plain(Reply::Endless(first, chunk)).await;
            let clock = StoppedClock::new();
            let result = post(&plain(&receiver)).await;
            drop(clock);
            let expected =
                if status == 200 { PostResult::Accepted { status } } else { refused(status, &"x".repeat(512), None) };
            assert_eq!(result, expected, "{head}");
            // The connection is closed, and the receiver notices.
            receiver.is_over().await;
        }
    }
}

#[tokio::test]
async fn of_a_body_no_more_than_16_kib_are_kept() {
    let receiver = Receiver::plain(Reply::Text(text("500 x", &"x".repeat(1_000_000)))).await;
    let client = plain(&receiver);
    let mut answer = client.http.post(client.url.clone()).body(BODY).send().await.unwrap();
    let mut start = Vec::new();
    read(&mut answer, &mut start).await;
    assert_eq!(start.len(), MAX_BODY);
}

#[tokio::test(start_paused = true)]
async fn endless_headers_are_no_answer() {
    let heads = ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nlong: "];
    for (head, again) in heads.into_iter().zip(["a: b\r\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]) {
        let result = answered(Reply::Endless(head.to_owned(), again.repeat(100))).await;
        assert_eq!(result, PostResult::Failed(PostError::Disconnected));
    }
    // Neither is an answer that is not HTTP.
    let result = answered(Reply::Text("SSH-2.0-OpenSSH_9.6\r\n".to_owned())).await;
    assert_eq!(result, PostResult::Failed(PostError::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_before_the_answer_is_told_apart_from_none() {
    for begin in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let result = answered(Reply::ThenClose(begin.to_owned())).await;
        assert_eq!(result, PostResult::Failed(PostError::Disconnected), "{begin}");
    }
    let free = std::net::TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap();
    let _clock = StoppedClock::new();
    let client = Client::new(no_authorities(), format!("http://{free}/").parse().unwrap(), Reach::Loopback);
    assert_eq!(post(&client).await, PostResult::Failed(PostError::ConnectionFailed));
    let url: Url = "https://app.example/".parse().unwrap();
    let nowhere = Client::with_resolver(no_authorities(), url, Reach::Public, Answers::new(&[&[]]));
    assert_eq!(post(&nowhere).await, PostResult::Failed(PostError::ConnectionFailed));
}

#[tokio::test]
async fn a_certificate_must_be_valid_known_and_of_the_name() {
    let reply = || Reply::Text(text("200 OK", ""));
    let valid = Certificate::new("app.example", VALID);
    let receiver = Receiver::tls(reply(), &valid).await;
    assert_eq!(post(&with_tls(&receiver, valid.trusted())).await, PostResult::Accepted { status: 200 });

    let tls_failed = PostResult::Failed(PostError::TlsFailed);
    assert_eq!(post(&with_tls(&receiver, no_authorities())).await, tls_failed, "an unknown authority");
    for bad in [Certificate::new("app.example", 2_020), Certificate::new("other.example", VALID)] {
        let mut receiver = Receiver::tls(reply(), &bad).await;
        assert_eq!(post(&with_tls(&receiver, bad.trusted())).await, tls_failed);
        assert!(receiver.requests.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_receiver_without_tls_gets_no_event() {
    // It answers at once, as many servers do to what is not HTTP.
    let greeting = tokio::net::TcpListener::bind((HERE, 0)).await.unwrap();
    let url = format!("https://app.example:{}/", greeting.local_addr().unwrap().port()).parse().unwrap();
    let client =
        Client::with_resolver(no_authorities(), url, Reach::PublicAndLoopback, Answers::new(&[&["127.0.0.1"]]));
    let server = tokio::spawn(async move {
        let (mut connection, _) = greeting.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut connection, text("400 x", "").as_bytes()).await;
        let mut received = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut received).await;
        received
    });
    assert_eq!(post(&client).await, PostResult::Failed(PostError::TlsFailed));
    assert!(!String::from_utf8_lossy(&server.await.unwrap()).contains("webhook-id"));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_finish_the_handshake_takes_2_seconds() {
    let receiver = Receiver::mute().await;
    let client = with_tls(&receiver, no_authorities());
    assert_eq!(after(Duration::from_secs(2), &client, &receiver).await, PostResult::Failed(PostError::Timeout));
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let other = Receiver::plain(Reply::Text(text("200 OK", ""))).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("{status} x\r\nlocation: http://{}/hooks", other.address);
        assert_eq!(answered(Reply::Text(text(&head, ""))).await, refused(status, "", None));
    }
    assert_eq!(other.connections(), 0);
}

/// A machine connects to itself at each of these addresses, so that a connection to them would reach the receiver.
#[tokio::test]
async fn a_name_whose_address_changes_is_never_connected_to_at_a_forbidden_address() {
    for second in ["0.0.0.0", "::ffff:127.0.0.1"] {
        let receiver = Receiver::plain(Reply::ThenClose(text("200 OK", ""))).await;
        let url = format!("http://localhost:{}/", receiver.address.port()).parse().unwrap();
        let resolver = Answers::new(&[&["127.0.0.1"], &[second]]);
        let client = Client::with_resolver(no_authorities(), url, Reach::Loopback, resolver);
        assert_eq!(post(&client).await, PostResult::Accepted { status: 200 });
        receiver.is_over().await;
        assert_eq!(post(&client).await, PostResult::Failed(PostError::AddressRefused), "{second}");
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
    let certificate = Certificate::new("app.example", VALID);
    let receiver = Receiver::tls(Reply::Text(text("200 OK", "")), &certificate).await;
    let url: Url = format!("https://app.example:{}/", receiver.address.port()).parse().unwrap();
    for inside in [&["127.0.0.1"] as &[&str], &["0.0.0.0"], &["::ffff:127.0.0.1"], &["10.0.0.1", "127.0.0.1"]] {
        let resolver = Answers::new(&[inside]);
        let client = Client::with_resolver(certificate.trusted(), url.clone(), Reach::Public, resolver);
        assert_eq!(post(&client).await, PostResult::Failed(PostError::AddressRefused), "{inside:?}");
    }
    assert_eq!(receiver.connections(), 0);
}

/// The resolver is not asked about an address.
#[tokio::test]
async fn an_address_in_the_url_is_checked_before_each_post() {
    let receiver = Receiver::plain(Reply::Text(text("200 OK", ""))).await;
    for host in ["127.0.0.1", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", receiver.address.port()).parse().unwrap();
        let client = Client::with_resolver(no_authorities(), url, Reach::Public, Answers::new(&[&[]]));
        assert_eq!(post(&client).await, PostResult::Failed(PostError::AddressRefused), "{host}");
    }
    assert_eq!(receiver.connections(), 0);
}
