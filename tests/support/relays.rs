//! The relays between a function and all endpoints that it calls.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use local::{Endpoints, Function};
use url::Url;

use crate::relay::{Authority, HTTP1, Relay};

/// A relay for each endpoint, since on AWS each service has a host of its own. All terminate TLS.
#[derive(Debug)]
pub struct Relays {
    pub dynamodb: Relay,
    pub secrets: Relay,
    pub sqs: Relay,
    pub sns: Relay,
    pub digime: Relay,
    authority: Authority,
    endpoints: Endpoints,
}

impl Relays {
    /// digi.me offers these protocols, AWS only HTTP/1.1.
    pub async fn start(endpoints: &Endpoints, digime_protocols: &[&str]) -> Self {
        let authority = Authority::generate();
        let (aws, digime) = (address(&endpoints.aws_url), address(&endpoints.digime_base_url));
        Self {
            dynamodb: Relay::tls(aws, &authority, HTTP1).await,
            secrets: Relay::tls(aws, &authority, HTTP1).await,
            sqs: Relay::tls(aws, &authority, HTTP1).await,
            sns: Relay::tls(aws, &authority, HTTP1).await,
            digime: Relay::tls(digime, &authority, digime_protocols).await,
            authority,
            endpoints: endpoints.clone(),
        }
    }

    /// The environment of a function whose endpoints are the relays.
    #[must_use]
    pub fn environment(&self, function: Function) -> BTreeMap<String, String> {
        let mut environment = self.endpoints.environment(function);
        environment.insert("SSL_CERT_FILE".into(), self.authority.path());
        let services =
            [("DYNAMODB", &self.dynamodb), ("SECRETS_MANAGER", &self.secrets), ("SQS", &self.sqs), ("SNS", &self.sns)];
        for (name, relay) in services {
            environment.insert(format!("AWS_ENDPOINT_URL_{name}"), format!("https://{}", relay.address()));
        }
        environment.insert("DIGIME_BASE_URL".into(), format!("https://{}/v1.7/", self.digime.address()));
        environment
    }

    /// The relays to DynamoDB, Secrets Manager, SQS, SNS and digi.me.
    #[must_use]
    pub fn all(&self) -> [&Relay; 5] {
        [&self.dynamodb, &self.secrets, &self.sqs, &self.sns, &self.digime]
    }

    /// The number of connections to each, in this order.
    #[must_use]
    pub fn connections(&self) -> [u64; 5] {
        self.all().map(Relay::connections)
    }

    /// Lets handshakes with AWS and with digi.me take this time for each round trip.
    pub fn set_round_trips(&self, aws: Duration, digime: Duration) {
        for relay in self.all() {
            relay.set_round_trip(aws);
        }
        self.digime.set_round_trip(digime);
    }
}

/// The socket address of a URL. Panics if it has none.
#[must_use]
pub fn address(url: &str) -> SocketAddr {
    let url: Url = url.parse().expect("a URL");
    url.socket_addrs(|| None).expect("an address")[0]
}
