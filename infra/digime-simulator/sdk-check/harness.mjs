// What the journeys share: the simulator's addresses, its control API, its pages, and the names of the steps.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";

export const contractId = "check-contract";
export const applicationId = "check-app";
export const callback = "http://127.0.0.1:9/callback?from=app";
/** The error codes that digi.me documents for its pages. */
export const errorCodes = ["USER_CANCEL", "INITIALIZE_CHECK_FAIL", "INVALID_CODE", "ONBOARD_ERROR", "SERVER_ERROR"];
const TIMEOUT_MS = 10_000;

/** The simulator's origin: the first argument, or the default address. */
export const origin = process.argv[2] ?? "http://127.0.0.1:9001";
export const baseUrl = `${origin}/v1.7/`;
export const onboardUrl = `${origin}/apps/saas/`;

async function request(url, options = {}) {
    return fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
}

export async function control(method, path, body) {
    const response = await request(`${origin}/_simulator/${path}`, { method, body: body && JSON.stringify(body) });
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.text()}`);
}

/** Registers a contract with a key of its own, and returns the SDK's `contractDetails`. */
export async function newContract() {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    await control("PATCH", "settings", { accessTokenStatus: "reported", allowRedirectQuery: true, readDelayPolls: 1 });
    await control("PUT", `contracts/${contractId}`, {
        applicationId,
        publicKeyPem: publicKey,
        redirectUris: ["http://127.0.0.1:9/callback"],
    });
    return { contractId, privateKey };
}

/** Opens the page, presses a button, and returns the parameters with which the browser is sent to the application. */
export async function submit(url, decision, more = {}) {
    const page = await request(url);
    assert.equal(page.status, 200, `the page ${new URL(url).pathname}`);
    const fields = Object.fromEntries(new URL(url).searchParams);
    const body = new URLSearchParams({ ...fields, ...more, decision });
    const response = await request(url, { method: "POST", body });
    assert.equal(response.status, 303);
    const location = new URL(response.headers.get("location"));
    assert.equal(location.searchParams.get("from"), "app");
    return location.searchParams;
}

/** Ends the page with each error code. The page stays usable, as when the user goes back in the browser. */
export async function submitEachError(url, state) {
    for (const errorCode of errorCodes) {
        const parameters = await submit(url, errorCode);
        assert.equal(parameters.get("success"), "false");
        assert.equal(parameters.get("errorCode"), errorCode);
        assert.equal(parameters.get("state"), state);
        assert.equal(parameters.get("code"), null);
    }
}

export async function step(name, work) {
    const result = await work();
    console.log(`ok - ${name}`);
    return result;
}
