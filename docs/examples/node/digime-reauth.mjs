// A client of digime-reauth's HTTP API: signs requests with AWS Signature Version 4, and verifies webhooks.
import { setTimeout as sleep } from "node:timers/promises";
import { AwsClient } from "aws4fetch";
import { Webhook } from "standardwebhooks";

/** A token pair as digi.me's Node.js SDK has it; `expiry` is in seconds. A grant is the stored pair with its status.
 * @typedef {{ value: string, expiry: number }} Token
 * @typedef {{ accessToken: Token, refreshToken: Token, user?: { id?: string }, consentid?: string }} UserAccessToken
 * @typedef {UserAccessToken & { status: "active" | "user_reauthorization_required" }} Grant
 * @typedef {{ accountId: string, serviceName?: string, status: "active" | "reauth_required" | "verifying",
 *   verified?: boolean, reconnectUrl?: string }} Account
 * @typedef {{ reauthorizationId: string, kind: "account" | "user", url: string }} CreatedReauthorization
 * @typedef {{ reauthorizationId: string, userId: string, accountId?: string, errorCode?: string,
 *   status: "pending" | "succeeded" | "failed" | "expired" }} Reauthorization
 * @typedef {{ type: string, timestamp: string, data: { eventId: string, userId: string, sequence: number, accountId?: string,
 *   contractId?: string, serviceName?: string, reconnectUrl?: string, recoverable?: boolean } }} Event
 * @typedef {{ accessKeyId: string, secretAccessKey: string, sessionToken?: string }} Credentials
 * @typedef {{ url: string, region: string, credentials: () => Credentials | Promise<Credentials>,
 *   webhookSecret?: string, timeoutMs?: number }} ClientOptions */

const [ATTEMPTS, PAUSE_MS, LONGEST_PAUSE_MS] = [3, 200, 5_000];
const TEMPORARY = [429, 500, 502, 503, 504]; // After these statuses, the same request may succeed.

/** A refused request, with `code` and `status` of the problem. Without an answer: `no_answer`, 0. Not JSON: `invalid_answer`. */
export class ReauthError extends Error {
    /** @param {{ code: string, status: number, message: string, requestId?: string, cause?: unknown }} what */
    constructor({ code, status, message, requestId, cause }) {
        super(message, { cause });
        this.name = "ReauthError";
        this.code = code;
        this.status = status;
        this.requestId = requestId;
    }
}

export class ReauthClient {
    /** @param {ClientOptions} options `credentials` is called for each attempt, so that it can return renewed ones. */
    constructor({ url, webhookSecret, timeoutMs = 15_000, ...signing }) {
        this.url = url.replace(/\/$/, "");
        this.signing = signing;
        this.timeoutMs = timeoutMs;
        this.webhook = webhookSecret ? new Webhook(webhookSecret) : undefined;
    }

    /** The user's current pair, refreshed by the service when it is about to expire. Get it before each use.
     * @param {string} userId @param {string} contractId @returns {Promise<Grant>} */
    grant(userId, contractId) {
        return this.#call("GET", path`/users/${userId}/grants/${contractId}`);
    }

    /** Stores a pair that the SDK returned, unless the SDK was given the same (`before`). Returns the pair to use from then on:
     * if the service has a newer one (409 `grant_stale`), that one. @param {string} userId @param {string} contractId
     * @param {UserAccessToken} pair @param {UserAccessToken} [before] @returns {Promise<UserAccessToken>} */
    async storeGrant(userId, contractId, pair, before) {
        if (before && pair.accessToken.value === before.accessToken.value) return pair;
        return this.#call("PUT", path`/users/${userId}/grants/${contractId}`, { body: pair }).then(() => pair).catch((error) => {
            if (error.code !== "grant_stale") throw error;
            return this.grant(userId, contractId);
        });
    }

    /** Hands in the result of a read; only its status is sent. The service orders results by `observedAt`, the time before
     * `readSession`. @param {string} userId
     * @param {{ contractId: string, observedAt: Date, readResult: { status: object } }} result */
    handInReadResult(userId, { contractId, observedAt, readResult: { status } }) {
        const body = { contractId, observedAt, readResult: { status } };
        return this.#call("POST", path`/users/${userId}/read-results`, { body, repeatable: true });
    }

    /** The user's accounts. With `refresh`, the service asks digi.me first, and renews a pair that digi.me refuses.
     * @param {string} userId @param {{ refresh?: boolean }} [options] @returns {Promise<{ accounts: Account[] }>} */
    accounts(userId, { refresh = false } = {}) {
        return this.#call("GET", path`/users/${userId}/accounts` + (refresh ? "?refresh=true" : ""));
    }

    /** @param {string} userId @param {string} accountId @returns {Promise<Account>} */
    account(userId, accountId) {
        return this.#call("GET", path`/users/${userId}/accounts/${accountId}`);
    }

    /** A URL to which the user is sent at once. Without an account, for the user. Not repeated: each call creates one.
     * @param {string} userId @param {string | undefined} accountId
     * @param {{ contractId?: string, locale?: string, returnUrl?: string }} [body] @returns {Promise<CreatedReauthorization>} */
    createReauthorization(userId, accountId, body = {}) {
        const of = accountId ? path`/users/${userId}/accounts/${accountId}` : path`/users/${userId}`;
        return this.#call("POST", `${of}/reauthorizations`, { body });
    }

    /** @param {string} reauthorizationId @returns {Promise<Reauthorization>} */
    reauthorization(reauthorizationId) {
        return this.#call("GET", path`/reauthorizations/${reauthorizationId}`);
    }

    /** Erases the user in digime-reauth. The SDK's `deleteUser`, which needs the pair, comes before. @param {string} userId */
    forget(userId) {
        return this.#call("DELETE", path`/users/${userId}`);
    }

    /** The event of a webhook. Throws if the signature is wrong or older than five minutes. `body` is the text as received.
     * @param {import("node:http").IncomingHttpHeaders} headers @param {string} body @returns {Event} */
    verifyWebhook(headers, body) {
        if (!this.webhook) throw new Error("webhookSecret is not set");
        return /** @type {Event} */ (this.webhook.verify(body, /** @type {Record<string, string>} */ (headers)));
    }

    /** @param {string} method @param {string} target
     * @param {{ body?: unknown, repeatable?: boolean }} [options] @returns {Promise<any>} */
    async #call(method, target, { body, repeatable = method !== "POST" } = {}) {
        for (let attempt = 1; ; attempt += 1) {
            const last = attempt === ATTEMPTS || !repeatable;
            const request = await this.#sign(method, target, body);
            const answer = await this.#send(request).catch((cause) => {
                if (last) throw new ReauthError({ code: "no_answer", status: 0, message: `${method}: no answer`, cause });
            });
            if (answer && answer.status < 300 && answer.content !== undefined) return answer.content;
            if (answer && (last || !TEMPORARY.includes(answer.status))) throw problem(answer);
            await sleep(Math.min(answer?.wait || PAUSE_MS * 2 ** attempt * Math.random(), LONGEST_PAUSE_MS));
        }
    }

    /** Signs one attempt. @param {string} method @param {string} target @param {unknown} body */
    async #sign(method, target, body) {
        const { credentials, region } = this.signing;
        const aws = new AwsClient({ ...(await credentials()), service: "execute-api", region });
        const content = body ? { body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {};
        return aws.sign(this.url + target, { method, ...content });
    }

    /** `content` is null without a body, and undefined if the body is not JSON. @param {Request} request */
    async #send(request) {
        const response = await fetch(request, { redirect: "error", signal: AbortSignal.timeout(this.timeoutMs) });
        const [wait, requestId] = ["retry-after", "apigw-requestid"].map((name) => response.headers.get(name));
        const text = await response.text();
        const content = await Promise.resolve(text || "null").then(JSON.parse).catch(() => undefined);
        return { status: response.status, content, wait: Number(wait) * 1_000, requestId };
    }
}

/** Encodes the values in a path. @param {TemplateStringsArray} parts @param {...string} values */
function path(parts, ...values) {
    return String.raw({ raw: parts }, ...values.map(encodeURIComponent));
}

/** API Gateway's own answers, such as 403 for a wrong signature, are not problems: their code is `http_403`.
 * @param {{ status: number, content: any, requestId: string | null }} answer */
function problem({ status, content, requestId }) {
    const code = content?.code ?? (status < 300 ? "invalid_answer" : `http_${status}`);
    const message = `${status} ${code}: ${content?.detail ?? content?.message ?? "no detail"}`;
    return new ReauthError({ code, status, message, requestId: content?.requestId ?? requestId ?? undefined });
}
