// Drives the example application of docs/examples/node/ as its user, digi.me and the service do: `node .ci/node_example.mjs API`,
// with the address of a running local system that posts to the application. `.ci/node_example.py` starts both.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { on, once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, get, request } from "node:http";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { ReauthClient } from "../docs/examples/node/digime-reauth.mjs";
import { init } from "../infra/digime-simulator/sdk-check/substitute.mjs";

const EXAMPLE = new URL("../docs/examples/node/", import.meta.url);
const LIMIT_MS = 20_000;
const [address] = process.argv.slice(2);
const info = await (await fetch(`${address}/_local/info`, { signal: AbortSignal.timeout(LIMIT_MS) })).json();
const application = new URL(info.webhook.url).origin;
const contract = process.env.DIGIME_CONTRACT_ID || "demo-contract";
const { applicationId, privateKeyFile } = info.contracts.find(({ contractId }) => contractId === contract);
const { region, accessKeyId, secretAccessKey } = info.credentials;
const { Webhook } = createRequire(EXAMPLE)("standardwebhooks");
const user = "demo-user";
const account = "1_demo-bank";

const clientWith = (changes) =>
    new ReauthClient({ url: info.apiUrl, region, credentials: () => ({ accessKeyId, secretAccessKey }), ...changes });
const client = clientWith({});

async function call(method, url, options = {}) {
    const response = await fetch(url, { method, redirect: "manual", signal: AbortSignal.timeout(LIMIT_MS), ...options });
    return { response, status: response.status, text: await response.text() };
}

async function control(path) {
    const { status, text } = await call("POST", `${info.digimeControlUrl}${path}`);
    assert.ok(status === 200 || status === 204, text);
}

async function app(method, path, options) {
    const { status, text } = await call(method, `${application}${path}`, options);
    return `${status} ${text}`;
}

async function until(what, condition) {
    for (const end = Date.now() + LIMIT_MS; ; await sleep(50)) {
        const result = await condition();
        if (result) return result;
        assert.ok(Date.now() < end, `never: ${what}`);
    }
}

const banner = async () => /<p role="status">(.*?) <a href="(.*?)">/.exec(await app("GET", "/"))?.slice(1);

/** Follows a reconnect link as a browser does, to the URL to which the callback redirects. */
async function reconnect(link) {
    assert.equal((await call("GET", link)).status, 200);
    const started = await call("POST", link, { body: new URLSearchParams() });
    assert.equal(started.status, 303, started.text);
    const cookie = started.response.headers.getSetCookie().map((text) => text.split(";")[0]).join("; ");
    const page = new URL(started.response.headers.get("location"));
    assert.equal((await call("GET", page)).status, 200);
    const body = new URLSearchParams([...page.searchParams, ["decision", "success"]]);
    const decided = await call("POST", page, { body });
    assert.equal(decided.status, 303, decided.text);
    const callback = await call("GET", decided.response.headers.get("location"), { headers: { cookie } });
    assert.equal(callback.status, 303, callback.text);
    return new URL(callback.response.headers.get("location"));
}

/** A contract of the developer whose id sorts before the demo contract's. */
async function registerOwnContract() {
    const { privateKey } = generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    const body = JSON.stringify({ applicationId: "own-application", contractId: "a-contract", privateKey });
    const { status, text } = await call("PUT", `${address}/_local/contracts/a-contract`, { body });
    assert.equal(status, 200, text);
}

async function brokenRequestsAreRefused() {
    const { hostname, port } = new URL(application);
    for (const target of ["//", "http://["]) {
        const [response] = await once(get({ hostname, port, path: target }), "response", { signal: AbortSignal.timeout(LIMIT_MS) });
        response.resume();
        assert.equal(response.statusCode, 400, target);
    }
    assert.match(await app("GET", "/unknown"), /^404/);
    assert.match(await app("POST", "/webhook", { body: "x".repeat(262_145) }), /^413/);
    // The connection ends while the application waits for the rest of the body.
    const headers = { "content-length": 1000, expect: "100-continue" };
    const aborted = request({ hostname, port, path: "/webhook", method: "POST", headers }).on("error", () => undefined);
    aborted.flushHeaders();
    await once(aborted, "continue", { signal: AbortSignal.timeout(LIMIT_MS) });
    aborted.destroy();
    assert.match(await app("GET", "/"), /^200/);
}

async function anAccountIsHealed() {
    assert.match(await app("POST", "/read"), /^200 .*The read is completed/);
    assert.equal(await banner(), undefined);
    await control(`accounts/${account}/break`);
    assert.match(await app("POST", "/read"), /^200 .*The read is partial/);
    const [text, link] = await until("the banner", banner);
    assert.equal(text, "Your connection to Meadow Bank has ended.");
    assert.equal(link, (await client.account(user, account)).reconnectUrl);

    const returned = await reconnect(link);
    assert.equal(returned.origin, application);
    assert.equal(returned.searchParams.get("status"), "succeeded");
    assert.match(await app("GET", returned.pathname + returned.search), /^200 .*The reconnection is succeeded/);
    assert.match(await app("GET", `/returned?reauthorizationId=ra_${"0".repeat(32)}&status=succeeded`), /^502 .*reauthorization_not_found/);
    const elsewhere = encodeURIComponent(`../users/${user}/accounts`);
    assert.match(await app("GET", `/returned?reauthorizationId=${elsewhere}`), /^502 .*invalid_request/);
    await until("the banner is gone", async () => !(await banner()));
    const { status, verified } = await client.account(user, account);
    assert.deepEqual({ status, verified }, { status: "active", verified: true });
    assert.match(await app("POST", "/read"), /^200 .*The read is completed/);
    const returnUrl = `${application}/returned?from=banner`;
    const { kind, url } = await client.createReauthorization(user, account, { locale: "en", returnUrl });
    assert.deepEqual([kind, url.startsWith(info.digimeOnboardUrl)], ["account", true]);
}

/** Posts an event to the application, signed with a secret at a time. `sent` is what arrives instead of it. */
function post(secret, at, event, sent = event) {
    const id = "msg_1";
    const headers = {
        "webhook-id": id,
        "webhook-timestamp": `${Math.floor(at / 1000)}`,
        "webhook-signature": new Webhook(secret).sign(id, new Date(at), JSON.stringify(event)),
    };
    return app("POST", "/webhook", { headers, body: JSON.stringify(sent) });
}

async function onlySignedWebhooksCount() {
    const data = { eventId: "e", userId: user, accountId: "9_other", sequence: Date.now(), serviceName: "Other" };
    const event = { type: "account.reauthorization_required", data: { ...data, reconnectUrl: "http://127.0.0.1/x" } };
    const wrong = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    const { secret } = info.webhook;
    const changed = { ...event, data: { ...event.data, reconnectUrl: "http://elsewhere.example/" } };
    assert.match(await post(wrong, Date.now(), event), /^401/);
    assert.match(await post(secret, Date.now() - 360_000, event), /^401/);
    assert.match(await post(secret, Date.now(), event, changed), /^401/);
    assert.match(await app("POST", "/webhook", { body: "{}" }), /^401/);
    assert.equal(await banner(), undefined);
    assert.match(await post(secret, Date.now(), event), /^204/);
    assert.deepEqual(await banner(), ["Your connection to Other has ended.", "http://127.0.0.1/x"]);
    const healed = (sequence) => ({ type: "account.reauthorized", data: { ...data, sequence } });
    assert.match(await post(secret, Date.now(), healed(1)), /^204/);
    assert.ok(await banner(), "an older event changes nothing");
    assert.match(await post(secret, Date.now(), { ...healed(data.sequence + 1), type: "account.reauthorization_failed" }), /^204/);
    assert.ok(await banner(), "a failed attempt leaves the banner");
    assert.match(await post(secret, Date.now(), healed(data.sequence + 2)), /^204/);
    assert.equal(await banner(), undefined);
}

async function aUserWhomDigimeDoesNotRecognizeConnectsAgain() {
    const { secret } = info.webhook;
    const data = { eventId: "e", userId: user, contractId: "another-contract", sequence: 1, reconnectUrl: "http://127.0.0.1/x" };
    const lost = { type: "user.reauthorization_required", data: { ...data, recoverable: true } };
    assert.match(await post(secret, Date.now(), lost), /^204/);
    assert.match(await app("GET", "/"), /has ended. <a href="http:\/\/127.0.0.1\/x">Reconnect</);
    const final = { ...lost, data: { ...data, sequence: 2, recoverable: false } };
    assert.match(await post(secret, Date.now(), final), /^204/);
    const page = await app("GET", "/");
    assert.match(page, /has ended. <a href="\/connect">Connect again</);
    assert.doesNotMatch(page, /127\.0\.0\.1\/x/, "the link cannot help");
    assert.match(await app("GET", "/connect"), /^200 .*getAuthorizeUrl/);
    const renewed = { type: "user.reauthorized", data: { ...data, sequence: 3, reconnectUrl: undefined } };
    assert.match(await post(secret, Date.now(), renewed), /^204/);
    assert.equal(await banner(), undefined);
}

async function thePairIsShared() {
    const before = await client.grant(user, contract);
    await control(`users/${user}/expire-access-tokens`);
    assert.match(await app("POST", "/read"), /^200 .*The read is completed/);
    const after = await client.grant(user, contract);
    assert.notEqual(after.accessToken.value, before.accessToken.value, "the SDK's refreshed pair was stored");

    const older = { ...before, accessToken: { ...before.accessToken, expiry: after.accessToken.expiry - 60 } };
    assert.deepEqual(await client.storeGrant(user, contract, older, after), after, "the stored pair counts");
    assert.deepEqual(await client.grant(user, contract), after);

    // The first pair of a user, in the form of digi.me's API.
    const token = (one) => ({ value: one.value, expires_on: one.expiry });
    const first = { access_token: token(after.accessToken), refresh_token: token(after.refreshToken) };
    await client.storeGrant("customer-42", contract, first);
    assert.equal((await client.grant("customer-42", contract)).accessToken.value, after.accessToken.value);
    await client.forget("customer-42");

    // Another caller refreshes the pair and does not store it: digi.me refuses both tokens of the stored one.
    const sdk = init({ applicationId, baseUrl: info.digimeBaseUrl, onboardUrl: info.digimeOnboardUrl });
    const contractDetails = { contractId: contract, privateKey: readFileSync(privateKeyFile, "utf8") };
    const elsewhere = await sdk.refreshToken({ contractDetails, userAccessToken: after });
    assert.match(await app("POST", "/read"), /^200 .*The read is user_reauthorization_required/);
    assert.equal((await until("the banner of the user", banner))[0], "Your connection to your data has ended.");
    const longer = { ...elsewhere, accessToken: { ...elsewhere.accessToken, expiry: after.accessToken.expiry + 60 } };
    await client.storeGrant(user, contract, longer, after);
    await until("the banner is gone", async () => !(await banner()));
    assert.match(await app("POST", "/read"), /^200 .*The read is completed/);
}

async function onlySignedRequestsAreServed() {
    const wrong = [
        { credentials: () => ({ accessKeyId, secretAccessKey: "wrong" }) },
        { credentials: () => ({ accessKeyId: "AKIAWRONG", secretAccessKey }) },
        { region: "us-east-1" },
    ];
    for (const changes of wrong) {
        const refused = clientWith(changes).grant(user, contract);
        await assert.rejects(refused, { name: "ReauthError", status: 403, code: "http_403" });
    }
    assert.equal((await call("GET", `${info.apiUrl}/users/${user}/accounts`)).status, 403);
}

async function errorsAreNamed() {
    const unknownCredentials = new Error("no credentials");
    let asked = 0;
    const without = clientWith({
        credentials: async () => {
            asked += 1;
            throw unknownCredentials;
        },
    });
    await assert.rejects(without.accounts(user), unknownCredentials);
    assert.equal(asked, 1, "missing credentials are no missing answer");
    const unknown = "all:of|these@are+allowed=in~ids";
    await assert.rejects(client.grant(unknown, contract), (error) => {
        assert.deepEqual([error.status, error.code], [404, "user_not_found"]);
        return Boolean(error.requestId);
    });
    let seen = 0;
    let replies = [];
    const server = createServer((request, response) => {
        seen += 1;
        const [status, headers, text] = replies.shift() ?? [];
        if (status) response.writeHead(status, headers).end(text ?? (status === 200 ? '{"accounts":[]}' : "{}"));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const slow = clientWith({ url: `http://127.0.0.1:${server.address().port}`, timeoutMs: 100 });
    await assert.rejects(slow.accounts(user), { code: "no_answer", status: 0 });
    assert.equal(seen, 3, "a GET without an answer is repeated");
    await assert.rejects(slow.createReauthorization(user, account), { code: "no_answer" });
    assert.equal(seen, 4, "creating a reauthorization is not repeated");
    replies = [[503, { "retry-after": "1" }], [200]];
    const begun = Date.now();
    assert.deepEqual(await slow.accounts(user), { accounts: [] });
    assert.ok(Date.now() - begun >= 990, "the service says how long to wait");
    replies = [[409]];
    await assert.rejects(slow.accounts(user), { code: "http_409" });
    assert.equal(seen, 7, "a refusal is not repeated");
    replies = [[200, {}, "<html>"], [400, {}, "{no JSON}"]];
    await assert.rejects(slow.accounts(user), { name: "ReauthError", code: "invalid_answer", status: 200 });
    await assert.rejects(slow.accounts(user), { name: "ReauthError", code: "http_400" });
    server.closeAllConnections();
    server.close();
}

/** The last step: the demo user is gone afterwards. */
async function aUserIsForgotten() {
    await client.forget(user);
    await assert.rejects(client.grant(user, contract), { code: "user_not_found" });
    await client.forget(user);
}

await registerOwnContract();
// As README.md says, in a process group of its own: npm starts the application in a process of its own.
const running = spawn("npm", ["run", "local", address], { cwd: EXAMPLE, stdio: ["ignore", "pipe", "inherit"], detached: true });
try {
    const printed = on(running.stdout.setEncoding("utf8"), "data", { signal: AbortSignal.timeout(LIMIT_MS), close: ["end"] });
    for await (const [text] of printed) if (text.includes("The application listens")) break;
    for (const step of [
        brokenRequestsAreRefused,
        anAccountIsHealed,
        onlySignedWebhooksCount,
        aUserWhomDigimeDoesNotRecognizeConnectsAgain,
        onlySignedRequestsAreServed,
        thePairIsShared,
        errorsAreNamed,
        aUserIsForgotten,
    ]) {
        await step();
        console.log(`ok - ${step.name}`);
    }
} finally {
    process.kill(-running.pid);
}
