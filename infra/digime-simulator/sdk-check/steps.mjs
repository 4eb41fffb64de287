// The walk that both checks take: authorize, read up to the 511 error, refresh, reauthorize, add and delete.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";

export const contractId = "check-contract";
export const applicationId = "check-app";
const callback = "http://127.0.0.1:9/callback?from=app";
const TIMEOUT_MS = 10_000;

/** The simulator's origin: the first argument, or the default address. */
export const origin = process.argv[2] ?? "http://127.0.0.1:9001";
export const baseUrl = `${origin}/v1.7/`;
export const onboardUrl = `${origin}/apps/saas/`;

async function request(url, options = {}) {
    return fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
}

async function control(method, path, body) {
    const response = await request(`${origin}/_simulator/${path}`, {
        method,
        body: body && JSON.stringify(body),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.text()}`);
}

/** Opens the page, presses a button, and tells where the browser is sent. */
async function submit(url, decision, more = {}) {
    const page = await request(url);
    assert.equal(page.status, 200, `the page ${new URL(url).pathname}`);
    const fields = Object.fromEntries(new URL(url).searchParams);
    const response = await request(url, {
        method: "POST",
        body: new URLSearchParams({ ...fields, ...more, decision }),
    });
    assert.equal(response.status, 303);
    const location = new URL(response.headers.get("location"));
    assert.equal(location.searchParams.get("from"), "app");
    return location.searchParams;
}

async function step(name, work) {
    const result = await work();
    console.log(`ok - ${name}`);
    return result;
}

/** `sdk` has the methods of the official Node.js SDK. */
export async function walk(sdk) {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    const contractDetails = { contractId, privateKey };
    await control("PATCH", "settings", {
        accessTokenStatus: "reported",
        allowRedirectQuery: true,
        readDelayPolls: 1,
    });
    await control("PUT", `contracts/${contractId}`, {
        applicationId,
        publicKeyPem: publicKey,
        redirectUris: ["http://127.0.0.1:9/callback"],
    });

    const authorization = await step("getAuthorizeUrl", () =>
        sdk.getAuthorizeUrl({ contractDetails, callback, state: "s1", serviceId: 3 }),
    );
    const consent = await step("the consent page", () => submit(authorization.url, "success"));
    assert.equal(consent.get("success"), "true");
    assert.equal(consent.get("state"), "s1");
    assert.ok(consent.get("accountReference"));

    let userAccessToken = await step("exchangeCodeForToken", () =>
        sdk.exchangeCodeForToken({
            contractDetails,
            authorizationCode: consent.get("code"),
            codeVerifier: authorization.codeVerifier,
        }),
    );
    assert.ok(userAccessToken.accessToken.value && userAccessToken.refreshToken.value);

    const accounts = async () =>
        (await sdk.readAccounts({ contractDetails, userAccessToken })).accounts;
    const [account] = await step("readAccounts", accounts);
    assert.equal(account.accessTokenStatus.authorized, true);
    const accountId = account.id;

    const read = async (given) => {
        const { session } = given ?? (await sdk.readSession({ contractDetails, userAccessToken }));
        for (let poll = 0; poll < 5; poll += 1) {
            const list = await sdk.readFileList({
                sessionKey: session.key,
                contractDetails,
                contractId,
                privateKey,
                userAccessToken,
            });
            assert.deepEqual(list.fileList, []);
            if (list.status.state !== "running") return list.status;
        }
        throw new Error("the read session never ended");
    };
    const first = await step("the first read, with the session of the authorization", () =>
        read(authorization),
    );
    assert.deepEqual(first, {
        state: "completed",
        details: { [accountId]: { state: "completed" } },
    });
    for (const [shape, error] of [
        ["documented", { error: { message: "Service authorization required", reauth: true } }],
        ["sdk", { message: "Service authorization required", reauth: true }],
    ]) {
        await control("POST", `accounts/${accountId}/break`, { shape });
        const status = await step(`a read up to the 511 error (${shape})`, () => read());
        assert.equal(status.state, "partial");
        assert.deepEqual(status.details[accountId], {
            state: "partial",
            error: { code: "ServiceAuthorizationError", statusCode: 511, ...error },
        });
    }
    assert.equal((await accounts())[0].accessTokenStatus.authorized, false);

    const old = userAccessToken;
    userAccessToken = await step("refreshToken", () =>
        sdk.refreshToken({ contractDetails, userAccessToken }),
    );
    assert.notEqual(userAccessToken.accessToken.value, old.accessToken.value);
    await step("the old refresh token is dead", () =>
        assert.rejects(
            sdk.refreshToken({ contractDetails, userAccessToken: old }),
            /The token \(refresh_token\) is invalid/,
        ),
    );

    const reauthorize = () =>
        sdk.getReauthorizeAccountUrl({ contractDetails, callback, accountId, userAccessToken });
    await control("POST", "signing-key/rotate", { form: "spki" });
    const cancelled = await step("getReauthorizeAccountUrl, cancelled", async () =>
        submit((await reauthorize()).url, "USER_CANCEL"),
    );
    assert.equal(cancelled.get("success"), "false");
    assert.equal(cancelled.get("errorCode"), "USER_CANCEL");
    const done = await step("getReauthorizeAccountUrl, followed", async () =>
        submit((await reauthorize()).url, "success"),
    );
    assert.equal(done.get("success"), "true");
    const healed = await step("a read after the reauthorization", () => read());
    assert.equal(healed.state, "completed");
    assert.equal((await accounts())[0].accessTokenStatus.authorized, true);

    await control("POST", `users/${userAccessToken.user.id}/expire-access-tokens`);
    await control("POST", `users/${userAccessToken.user.id}/kill-refresh-tokens`);
    const again = await step("getReauthorizeUrl, with an expired access token and a dead refresh token", () =>
        sdk.getReauthorizeUrl({ contractDetails, callback, userAccessToken, state: "s3" }),
    );
    const confirmed = await step("the user page", () => submit(again.url, "success"));
    assert.deepEqual([confirmed.get("success"), confirmed.get("state")], ["true", "s3"]);
    userAccessToken = await step("exchangeCodeForToken, after the user page", () =>
        sdk.exchangeCodeForToken({
            contractDetails,
            authorizationCode: confirmed.get("code"),
            codeVerifier: again.codeVerifier,
        }),
    );
    assert.equal((await accounts()).length, 1);

    const further = await step("getOnboardServiceUrl", () =>
        sdk.getOnboardServiceUrl({ contractDetails, callback, userAccessToken, serviceId: 2, state: "s2" }),
    );
    const added = await step("the page of a further service", () => submit(further.url, "success"));
    assert.deepEqual([added.get("success"), added.get("state"), added.get("code")], ["true", "s2", null]);
    const both = await step("a read with the session of the further service", () => read(further));
    assert.equal(Object.keys(both.details).length, 2);
    const sets = await step("getServiceSampleDataSets", () =>
        sdk.getServiceSampleDataSets({ contractDetails, sourceId: 2 }),
    );
    assert.equal(sets.default.name, "default");
    const { location } = await step("getRevokeAccountPermissionUrl", () =>
        sdk.getRevokeAccountPermissionUrl({ contractDetails, userAccessToken, accountId, redirectUri: callback }),
    );
    assert.equal((await submit(location, "success")).get("result"), "success");
    assert.equal((await accounts())[0].accessTokenStatus.authorized, false);
    await step("deleteAccount", () => sdk.deleteAccount({ contractDetails, userAccessToken, accountId }));
    assert.equal((await accounts()).length, 1);
    await step("deleteUser", () => sdk.deleteUser({ contractDetails, userAccessToken }));
    // `accounts` would have the SDK refresh the token, which is dead too.
    await assert.rejects(accounts(), /The token \((access|refresh)_token\) is invalid/);
}
