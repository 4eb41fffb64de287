// A substitute for digi.me's official Node.js SDK, which is in no package registry: the requests that the SDK sends, made
// and verified with Node's own cryptography. Its names, parameters, results and errors are those of the SDK (16.1.5).
// It does what the journeys and the example need. Unlike the SDK, it has a time limit and never repeats a request.
import assert from "node:assert/strict";
import { constants, createHash, createPublicKey, randomBytes, sign, verify } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT_MS = 10_000;
/** The SDK waits 3 seconds. */
const POLL_MS = 50;
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
const pss = (key) => ({ key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 });
const access = ({ userAccessToken }) => userAccessToken && { access_token: userAccessToken.accessToken.value };
const agent = { sdk: { name: "nodejs", version: "16.1.5", meta: { node: process.version } } };

export class ServerError extends Error {
    name = "DigiMeServerError";
    /** `error` is `{ code, message, statusCode, statusMessage }`. */
    constructor(message, error) {
        super(message);
        this.error = error;
    }
}

export class SDKInvalidError extends ServerError {
    name = "SDKInvalidError";
}

export class TypeValidationError extends Error {
    name = "TypeValidationError";
}

/** An answer without an error in digi.me's form. The SDK lets its HTTP client's error through. */
export class HTTPError extends Error {
    name = "HTTPError";
}

function errorOf(response, text) {
    let error;
    try {
        ({ error } = JSON.parse(text));
    } catch {}
    if (!error?.code) return new HTTPError(`Response code ${response.status} (${response.statusText})`);
    const kind = ["SDKInvalid", "SDKVersionInvalid"].includes(error.code) ? SDKInvalidError : ServerError;
    const { status: statusCode, statusText: statusMessage } = response;
    return new kind(error.message, { code: error.code, message: error.message, statusCode, statusMessage });
}

/** A JWT for one request: its nonce is good for one use. */
function jwt(applicationId, { contractId, privateKey }, claims) {
    const common = {
        client_id: `${applicationId}_${contractId}`,
        nonce: randomBytes(16).toString("hex"),
        timestamp: Date.now(),
    };
    const message = `${encode({ alg: "PS512", typ: "JWT" })}.${encode({ ...claims, ...common })}`;
    return `${message}.${sign("sha512", Buffer.from(message), pss(privateKey)).toString("base64url")}`;
}

/** The payload of an answer's token, verified as the SDK does it: with the key that `jku` names. */
async function payload({ token }) {
    const [header, claims, signature] = token.split(".");
    const { alg, kid, jku } = decode(header);
    assert.equal(alg, "PS512");
    const set = await (await fetch(jku, { signal: AbortSignal.timeout(TIMEOUT_MS) })).json();
    const jwk = set.keys.find((key) => key.kid === kid);
    const signed = Buffer.from(`${header}.${claims}`);
    const { kty, n, e } = jwk;
    for (const key of [createPublicKey(jwk.pem), createPublicKey({ key: { kty, n, e }, format: "jwk" })]) {
        assert.ok(verify("sha512", signed, pss(key), Buffer.from(signature, "base64url")), "the answer's signature");
    }
    return decode(claims);
}

function pkce() {
    const codeVerifier = randomBytes(32).toString("base64url");
    const challenge = createHash("sha256").update(codeVerifier).digest("base64url");
    return { codeVerifier, claims: { code_challenge: challenge, code_challenge_method: "S256" } };
}

/** `init({ applicationId, baseUrl, onboardUrl })`, as the SDK has it. */
export function init({ applicationId, baseUrl, onboardUrl }) {
    async function call(method, path, { contractDetails }, claims = {}, body, headers = {}) {
        if (!contractDetails?.contractId || !contractDetails.privateKey) {
            throw new TypeValidationError("Parameters failed validation.");
        }
        const authorization = `Bearer ${jwt(applicationId, contractDetails, claims)}`;
        const response = await fetch(baseUrl + path, {
            method,
            headers: { ...headers, authorization, ...(body && { "content-type": "application/json" }) },
            body: body && JSON.stringify(body),
            signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        const text = await response.text();
        if (!response.ok) throw errorOf(response, text);
        return text && JSON.parse(text);
    }

    const page = (name, query) => `${onboardUrl}${name}?${new URLSearchParams(query)}`;

    async function reference(options, claims) {
        const body = { agent, actions: options.sessionOptions };
        const all = { ...access(options), redirect_uri: options.callback, state: options.state, ...claims };
        const answer = await call("POST", "oauth/token/reference", options, all, body);
        return { code: (await payload(answer)).reference_code, session: answer.session };
    }

    async function tokens(options, claims) {
        const pair = await payload(await call("POST", "oauth/token", options, claims));
        const token = ({ value, expires_on }) => ({ value, expiry: expires_on });
        const [accessToken, refreshToken] = [token(pair.access_token), token(pair.refresh_token)];
        return { accessToken, refreshToken, user: { id: pair.sub }, consentid: pair.consentid };
    }

    const refreshToken = ({ contractDetails, userAccessToken }) =>
        tokens({ contractDetails }, { grant_type: "refresh_token", refresh_token: userAccessToken.refreshToken.value });

    /** After a 401 `InvalidToken`, the SDK refreshes the pair and repeats the call, once. Its result holds the new pair. */
    const refreshing = (operation) => async (options) => {
        try {
            return await operation(options);
        } catch (error) {
            if (error.error?.statusCode !== 401 || error.error.code !== "InvalidToken") throw error;
        }
        return operation({ ...options, userAccessToken: await refreshToken(options) });
    };

    const readFileList = refreshing(async (options) => {
        const list = await call("GET", `permission-access/query/${options.sessionKey}`, options, access(options));
        return { ...list, userAccessToken: options.userAccessToken };
    });

    async function readToTheEnd(options, polling) {
        let { userAccessToken } = options;
        for (let state; polling.on; ) {
            const list = await readFileList({ ...options, userAccessToken });
            if (list.userAccessToken !== userAccessToken) options.onAccessTokenChange?.(list.userAccessToken);
            ({ userAccessToken } = list);
            if (list.status.state !== state) options.onStatusChange?.(list.status.state);
            ({ state } = list.status);
            if (state === "completed" || state === "partial") return list.status;
            await sleep(POLL_MS);
        }
    }

    return {
        refreshToken,
        async getAuthorizeUrl(options) {
            const { codeVerifier, claims } = pkce();
            const { callback: redirect_uri, state, serviceId } = options;
            const all = { ...access(options), ...claims, redirect_uri, state };
            const body = { agent, actions: options.sessionOptions };
            const more = { response_mode: "query", response_type: "code" };
            const answer = await call("POST", "oauth/authorize", options, { ...all, ...more }, body);
            const { preauthorization_code: code } = await payload(answer);
            const url = page("authorize", { code, sourceType: "pull", ...(serviceId && { service: serviceId }) });
            return { url, codeVerifier, session: answer.session };
        },
        exchangeCodeForToken(options) {
            const { authorizationCode: code, codeVerifier: code_verifier } = options;
            return tokens(options, { grant_type: "authorization_code", code, code_verifier });
        },
        async getReauthorizeUrl(options) {
            const { codeVerifier, claims } = pkce();
            const { code, session } = await reference(options, claims);
            return { url: page("user-reauth", { code }), codeVerifier, session };
        },
        getReauthorizeAccountUrl: refreshing(async (options) => {
            const { code, session } = await reference(options);
            const body = { type: "accountId", value: options.accountId };
            const { id: accountRef } = await call("POST", "reference", options, {}, body);
            const lng = options.locale && { lng: options.locale };
            const { userAccessToken } = options;
            return { url: page("reauthorize", { code, accountRef, ...lng }), session, userAccessToken };
        }),
        getOnboardServiceUrl: refreshing(async (options) => {
            const { code, session } = await reference(options);
            const service = options.serviceId && { service: options.serviceId };
            const { userAccessToken } = options;
            return { url: page("onboard", { code, sourceType: "pull", ...service }), session, userAccessToken };
        }),
        readAccounts: refreshing(async (options) => {
            const accounts = await call("GET", "permission-access/accounts", options, access(options));
            return { accounts, userAccessToken: options.userAccessToken };
        }),
        readSession: refreshing(async (options) => {
            const body = { ...options.sessionOptions, agent };
            const { session } = await call("POST", "permission-access/trigger", options, access(options), body);
            return { session, userAccessToken: options.userAccessToken };
        }),
        /** These two take `contractId` and `privateKey`, not `contractDetails`. */
        readFileList: ({ contractId, privateKey, ...options }) =>
            readFileList({ ...options, contractDetails: { contractId, privateKey } }),
        readAllFiles({ contractId, privateKey, ...options }) {
            const polling = { on: true };
            const filePromise = readToTheEnd({ ...options, contractDetails: { contractId, privateKey } }, polling);
            return { filePromise, stopPolling: () => void (polling.on = false) };
        },
        getServiceSampleDataSets: (options) =>
            call("GET", `permission-access/sample/datasets/${options.sourceId}`, options),
        getRevokeAccountPermissionUrl: refreshing((options) => {
            const { accountId, redirectUri } = options;
            const path = "permission-access/revoke/h:accountId";
            return call("GET", path, options, access(options), undefined, { accountId, redirectUri });
        }),
        deleteAccount: refreshing((options) => {
            const path = "permission-access/service/h:accountId";
            return call("DELETE", path, options, access(options), undefined, { accountId: options.accountId });
        }),
        deleteUser: refreshing((options) => call("DELETE", "user", options, access(options))),
    };
}
