// Takes the same walk without the SDK: requests as the SDK sends them, made and verified with
// Node's own cryptography. `node wire-check.mjs [simulator origin]`.
import assert from "node:assert/strict";
import { constants, createHash, createPublicKey, randomBytes, sign, verify } from "node:crypto";
import { applicationId, baseUrl, onboardUrl, walk } from "./steps.mjs";

const TIMEOUT_MS = 10_000;
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
const pss = (key) => ({ key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 });
const agent = { sdk: { name: "nodejs", version: "16.1.5", meta: { node: process.version } } };

function jwt({ contractId, privateKey }, claims) {
    const common = {
        client_id: `${applicationId}_${contractId}`,
        nonce: randomBytes(16).toString("hex"),
        timestamp: Date.now(),
    };
    const message = `${encode({ alg: "PS512", typ: "JWT" })}.${encode({ ...claims, ...common })}`;
    return `${message}.${sign("sha512", Buffer.from(message), pss(privateKey)).toString("base64url")}`;
}

async function call(method, path, contractDetails, claims, body, headers = {}) {
    const response = await fetch(baseUrl + path, {
        method,
        headers: {
            ...headers,
            Authorization: `Bearer ${jwt(contractDetails, claims)}`,
            ...(body && { "Content-Type": "application/json" }),
        },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = response.status === 204 ? null : await response.json();
    if (!response.ok) {
        throw new Error(`${path}: ${response.status} ${answer.error.code}: ${answer.error.message}`);
    }
    return answer;
}

/** The payload of an answer's token, verified as the SDK does it: with the key that `jku` names. */
async function payload(answer) {
    const [header, claims, signature] = answer.token.split(".");
    const { alg, kid, jku } = decode(header);
    assert.equal(alg, "PS512");
    const set = await (await fetch(jku, { signal: AbortSignal.timeout(TIMEOUT_MS) })).json();
    const jwk = set.keys.find((key) => key.kid === kid);
    const signed = Buffer.from(`${header}.${claims}`);
    const bytes = Buffer.from(signature, "base64url");
    const { kty, n, e } = jwk;
    for (const key of [createPublicKey(jwk.pem), createPublicKey({ key: { kty, n, e }, format: "jwk" })]) {
        assert.ok(verify("sha512", signed, pss(key), bytes), "the answer's signature");
    }
    return decode(claims);
}

async function tokens(contractDetails, claims) {
    const pair = await payload(await call("POST", "oauth/token", contractDetails, claims));
    const token = ({ value, expires_on }) => ({ value, expiry: expires_on });
    return {
        accessToken: token(pair.access_token),
        refreshToken: token(pair.refresh_token),
        user: { id: pair.sub },
        consentid: pair.consentid,
    };
}

const access = (userAccessToken) => ({ access_token: userAccessToken.accessToken.value });

await walk({
    async getAuthorizeUrl({ contractDetails, callback, state, serviceId }) {
        const codeVerifier = randomBytes(32).toString("base64url");
        const claims = {
            code_challenge: createHash("sha256").update(codeVerifier).digest("base64url"),
            code_challenge_method: "S256",
            redirect_uri: callback,
            response_mode: "query",
            response_type: "code",
            state,
        };
        const answer = await call("POST", "oauth/authorize", contractDetails, claims, { agent });
        const { preauthorization_code: code } = await payload(answer);
        const query = new URLSearchParams({ code, sourceType: "pull", service: `${serviceId}` });
        return { url: `${onboardUrl}authorize?${query}`, codeVerifier, session: answer.session };
    },
    async getReauthorizeUrl({ contractDetails, callback, userAccessToken, state }) {
        const codeVerifier = randomBytes(32).toString("base64url");
        const claims = {
            ...access(userAccessToken),
            code_challenge: createHash("sha256").update(codeVerifier).digest("base64url"),
            code_challenge_method: "S256",
            redirect_uri: callback,
            state,
        };
        const answer = await call("POST", "oauth/token/reference", contractDetails, claims, { agent });
        const { reference_code: code } = await payload(answer);
        const query = new URLSearchParams({ code });
        return { url: `${onboardUrl}user-reauth?${query}`, codeVerifier, session: answer.session };
    },
    exchangeCodeForToken({ contractDetails, authorizationCode, codeVerifier }) {
        return tokens(contractDetails, {
            grant_type: "authorization_code",
            code: authorizationCode,
            code_verifier: codeVerifier,
        });
    },
    refreshToken({ contractDetails, userAccessToken }) {
        return tokens(contractDetails, {
            grant_type: "refresh_token",
            refresh_token: userAccessToken.refreshToken.value,
        });
    },
    async readAccounts({ contractDetails, userAccessToken }) {
        const path = "permission-access/accounts";
        return { accounts: await call("GET", path, contractDetails, access(userAccessToken)) };
    },
    readSession({ contractDetails, userAccessToken }) {
        const path = "permission-access/trigger";
        return call("POST", path, contractDetails, access(userAccessToken), { agent });
    },
    readFileList({ sessionKey, contractDetails, userAccessToken }) {
        const path = `permission-access/query/${sessionKey}`;
        return call("GET", path, contractDetails, access(userAccessToken));
    },
    async getOnboardServiceUrl({ contractDetails, callback, userAccessToken, serviceId, state }) {
        const claims = { ...access(userAccessToken), redirect_uri: callback, state };
        const answer = await call("POST", "oauth/token/reference", contractDetails, claims, { agent });
        const { reference_code: code } = await payload(answer);
        const query = new URLSearchParams({ code, sourceType: "pull", service: `${serviceId}` });
        return { url: `${onboardUrl}onboard?${query}`, session: answer.session };
    },
    getServiceSampleDataSets({ contractDetails, sourceId }) {
        return call("GET", `permission-access/sample/datasets/${sourceId}`, contractDetails, {});
    },
    getRevokeAccountPermissionUrl({ contractDetails, userAccessToken, accountId, redirectUri }) {
        const path = "permission-access/revoke/h:accountId";
        const headers = { accountId, redirectUri };
        return call("GET", path, contractDetails, access(userAccessToken), undefined, headers);
    },
    deleteAccount({ contractDetails, userAccessToken, accountId }) {
        const path = "permission-access/service/h:accountId";
        return call("DELETE", path, contractDetails, access(userAccessToken), undefined, { accountId });
    },
    deleteUser({ contractDetails, userAccessToken }) {
        return call("DELETE", "user", contractDetails, access(userAccessToken));
    },
    async getReauthorizeAccountUrl({ contractDetails, callback, accountId, userAccessToken }) {
        const claims = { ...access(userAccessToken), redirect_uri: callback };
        const path = "oauth/token/reference";
        const answer = await call("POST", path, contractDetails, claims, { agent });
        const { reference_code: code } = await payload(answer);
        const body = { type: "accountId", value: accountId };
        const { id: accountRef } = await call("POST", "reference", contractDetails, {}, body);
        const query = new URLSearchParams({ code, accountRef });
        return { url: `${onboardUrl}reauthorize?${query}`, session: answer.session };
    },
});
console.log("without the SDK: all steps passed");
