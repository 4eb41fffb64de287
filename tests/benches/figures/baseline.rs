//! The unit of the bounds: the CPU that the bare protocol of digi.me takes for one reauthorization URL on this machine. A
//! bound in units holds on a slower machine too, where a bound in milliseconds does not.

use std::{process::Stdio, time::Duration};

use local::{DEMO_APPLICATION, DEMO_CONTRACT, DEMO_USER, names};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::{
    process::{cpu, milliseconds},
    stage::{Stage, release},
};

/// How many URLs are made for one figure of CPU.
pub(crate) const URLS: u32 = 500;
const BANK: &str = "1_demo-bank";

/// The CPU in milliseconds that the bare protocol takes for a URL.
pub(crate) async fn bare_protocol() -> f64 {
    let stage = Stage::new(None).await;
    stage.near();
    let contract = stage.system.secrets.get(&format!("{}{DEMO_CONTRACT}", names::CONTRACT_SECRET_PREFIX));
    let contract: Value = serde_json::from_str(&contract.expect("a contract")).expect("JSON");
    let tokens = stage.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT);
    let wanted = |count: u32| {
        json!({"baseUrl": stage.system.endpoints.digime_base_url, "clientId": format!("{DEMO_APPLICATION}_{DEMO_CONTRACT}"),
            "privateKey": contract["privateKey"], "accessToken": tokens.access_token.value, "accountId": BANK,
            "redirectUri": format!("{}/callback", stage.system.endpoints.public_base_url), "count": count})
    };
    let mut child = Command::new(release().join("bare-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the bare protocol starts");
    let (process, mut input) = (child.id().expect("it runs"), child.stdin.take().expect("an input"));
    let mut output = BufReader::new(child.stdout.take().expect("an output")).lines();
    let mut before = Duration::ZERO;
    for count in [20, URLS] {
        before = cpu(process);
        input.write_all(format!("{}\n", wanted(count)).as_bytes()).await.expect("it reads");
        assert_eq!(output.next_line().await.expect("it writes").as_deref(), Some("done"));
    }
    milliseconds((cpu(process) - before) / URLS)
}
