//! What an HTTP/2 server of digi.me may do to a request without executing it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use digime::{
    Client, Contract, Error, Settings,
    ambient::{Ambient, Deadline},
};
use h2::{Reason, server};
use jiff::Timestamp;
use local::{DEMO_APPLICATION, DEMO_CONTRACT, DemoSecrets, names};
use reauth_core::{config::Environment, http_client};
use serde_json::Value;
use tests::{Authority, BANK, HTTP2, Relay, World, address};
use tokio::net::{TcpListener, TcpStream};

/// How a server declines to execute a refresh over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decline {
    /// It refuses the first refresh.
    RefusedStream,
    /// After the key set, it says that it takes no more requests over this connection, and closes it.
    GoAway,
    /// It executes the first refresh. In place of the answer it says that it takes no more requests, and closes the
    /// connection.
    GoAwayAfterwards,
}

/// A digi.me that declines. It answers other refreshes with what is no token. Records the bearer tokens of refreshes.
async fn server(decline: Decline, refreshes: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(tcp, decline, Arc::clone(&refreshes)));
        }
    });
    address
}

async fn serve(tcp: TcpStream, decline: Decline, refreshes: Arc<Mutex<Vec<String>>>) {
    let mut connection = server::handshake(tcp).await.unwrap();
    while let Some(Ok((request, mut stream))) = connection.accept().await {
        let mut answer: &[u8] = br#"{"keys": []}"#;
        if request.uri().path().ends_with("/oauth/token") {
            let mut refreshes = refreshes.lock().unwrap();
            refreshes.push(request.headers()["authorization"].to_str().unwrap().to_owned());
            if decline == Decline::RefusedStream && refreshes.len() == 1 {
                stream.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            if decline == Decline::GoAwayAfterwards {
                connection.abrupt_shutdown(Reason::NO_ERROR);
                continue;
            }
            answer = br#"{"token": "none"}"#;
        } else if decline == Decline::GoAway {
            connection.graceful_shutdown();
        }
        let mut body = stream.send_response(http::Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(answer), true).unwrap();
    }
}

/// A client of a digi.me behind TLS.
fn client(relay: &Relay, authority: &Authority, ambient: &Ambient) -> Client {
    let environment: Environment = [("SSL_CERT_FILE".to_owned(), authority.path())].into_iter().collect();
    let tls = http_client::tls(&environment).unwrap();
    let http = http_client::client_with_http2(tls, Duration::from_secs(2));
    let base = format!("https://{}/", relay.address());
    let settings = Settings {
        base_url: format!("{base}v1.7/").parse().unwrap(),
        onboard_url: base.parse().unwrap(),
        timeout: Duration::from_secs(5),
    };
    Client::new(http, settings, ambient)
}

#[tokio::test]
async fn a_refresh_that_was_declined_is_sent_again_and_executed_once() {
    let secrets = DemoSecrets::generate(&Ambient::system()).unwrap();
    let contract = Contract::new(DEMO_APPLICATION, DEMO_CONTRACT.parse().unwrap(), &secrets.private_key_pem.into());
    let contract = contract.unwrap();
    for (decline, sent) in [(Decline::RefusedStream, 2), (Decline::GoAway, 1)] {
        let (authority, refreshes) = (Authority::generate(), Arc::new(Mutex::new(Vec::new())));
        let relay = Relay::tls(server(decline, Arc::clone(&refreshes)).await, &authority, HTTP2).await;
        let client = client(&relay, &authority, &Ambient::system());
        let refreshed = client.refresh(&contract, &"r0".into(), Deadline(Timestamp::MAX)).await;
        assert!(matches!(refreshed, Err(Error::InvalidAnswer(_))), "{decline:?}: {refreshed:?}");
        let refreshes = refreshes.lock().unwrap();
        // With the same nonce.
        assert_eq!((refreshes.len(), refreshes.first()), (sent, refreshes.last()), "{decline:?}");
    }
}

#[tokio::test]
async fn a_refresh_that_was_executed_is_not_sent_again() {
    let secrets = DemoSecrets::generate(&Ambient::system()).unwrap();
    let contract = Contract::new(DEMO_APPLICATION, DEMO_CONTRACT.parse().unwrap(), &secrets.private_key_pem.into());
    let (authority, refreshes) = (Authority::generate(), Arc::new(Mutex::new(Vec::new())));
    let relay = Relay::tls(server(Decline::GoAwayAfterwards, Arc::clone(&refreshes)).await, &authority, HTTP2).await;
    let client = client(&relay, &authority, &Ambient::system());
    let refreshed = client.refresh(&contract.unwrap(), &"r0".into(), Deadline(Timestamp::MAX)).await;
    assert!(matches!(refreshed, Err(Error::Unreachable { .. })), "{refreshed:?}");
    assert_eq!(refreshes.lock().unwrap().len(), 1);
}

/// Without the checks of the connection, the second call would take its whole time, and fail.
#[tokio::test]
async fn a_call_over_a_connection_that_went_silent_is_repeated_over_a_new_one() {
    let world = World::builder().start().await;
    let authority = Authority::generate();
    let relay = Relay::tls(address(&world.system.endpoints.digime_base_url), &authority, HTTP2).await;
    let client = client(&relay, &authority, &world.clock.ambient());
    let secret = world.system.secrets.get(&format!("{}{DEMO_CONTRACT}", names::CONTRACT_SECRET_PREFIX)).unwrap();
    let secret: Value = serde_json::from_str(&secret).unwrap();
    let key = secret["privateKey"].as_str().unwrap().into();
    let contract = Contract::new(DEMO_APPLICATION, DEMO_CONTRACT.parse().unwrap(), &key).unwrap();
    let account = BANK.parse().unwrap();
    for connections in 1..=2 {
        client.account_reference(&contract, &account, Deadline(Timestamp::MAX)).await.unwrap();
        assert_eq!(relay.connections(), connections);
        relay.mute_all();
    }
}
