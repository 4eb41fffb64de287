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
 * @typedef {{ contractId?: string, locale?: string, returnUrl?: string }} ReauthorizationOptions
 * @typedef {{ reauthorizationId: string, kind: "account" | "user", url: string }} CreatedReauthorization
 * @typedef {{ reauthorizationId: string, userId: string, accountId?: string, errorCode?: string,
 *   status: "pending" | "succeeded" | "failed" | "expired" }} Reauthorization
 * @typedef {{ eventId: string, userId: string, sequence: number, accountId?: string, contractId?: string,
 *   serviceName?: string, reconnectUrl?: string, recoverable?: boolean }} EventData
 * @typedef {{ type: string, timestamp: string, data: EventData }} Event
 * @typedef {{ accessKeyId: string, secretAccessKey: string, sessionToken?: string }} Credentials
 * @typedef {{ url: string, region: string, credentials: () => Credentials | Promise<Credentials>,
 *   webhookSecret?: string, timeoutMs?: number }} ClientOptions
 */

const ATTEMPTS = 3;
const [PAUSE_MS, LONGEST_PAUSE_MS] = [200, 5_000];
/** The statuses after which the same request may succeed. */
const TEMPORARY = [429, 500, 502, 503, 504];

/** A refused request, with `code` and `status` of the problem, or one without an answer (`no_answer`, 0). */
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
    /** @param {ClientOptions} options `credentials` is called for each request, so that it can return renewed ones. */
    constructor({ url, region, credentials, webhookSecret, timeoutMs = 15_000 }) {
        this.url = url.replace(/\/$/, "");
        this.region = region;
        this.credentials = credentials;
        this.timeoutMs = timeoutMs;
        this.webhook = webhookSecret ? new Webhook(webhookSecret) : undefined;
    }

    /** The user's current pair, refreshed by the service when it is about to expire. Get it before each use.
     * @param {string} userId @param {string} contractId @returns {Promise<Grant>} */
    grant(userId, contractId) {
        return this.#call("GET", path`/users/${userId}/grants/${contractId}`);
    }

    /** Stores a pair that the SDK handed out, unless it is `before`, the pair that the SDK was given. If the service has a
     * newer pair (409 `grant_stale`), that one counts. Use the returned pair from then on.
     * @param {string} userId @param {string} contractId
     * @param {UserAccessToken} pair @param {UserAccessToken} [before] @returns {Promise<UserAccessToken>} */
    async storeGrant(userId, contractId, pair, before) {
        if (pair.accessToken.value === before?.accessToken.value) return pair;
        try {
            await this.#call("PUT", path`/users/${userId}/grants/${contractId}`, { body: pair });
            return pair;
        } catch (error) {
            if (error instanceof ReauthError && error.code === "grant_stale") return this.grant(userId, contractId);
            throw error;
        }
    }

    /** Hands in the result of a read. `observedAt` is the time before `readSession`: the service orders results by it. Only
     * the status is sent; the user access token in what `readFileList` returns stays here.
     * @param {string} userId
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

    /** One account. If it needs its user: with `reconnectUrl`, the link of the notification.
     * @param {string} userId @param {string} accountId @returns {Promise<Account>} */
    account(userId, accountId) {
        return this.#call("GET", path`/users/${userId}/accounts/${accountId}`);
    }

    /** A URL to which the user is sent at once. Without an account, for the user. Not repeated: each call creates one.
     * @param {string} userId @param {string | undefined} accountId @param {ReauthorizationOptions} [body]
     * @returns {Promise<CreatedReauthorization>} */
    createReauthorization(userId, accountId, body = {}) {
        const of = accountId ? path`/users/${userId}/accounts/${accountId}` : path`/users/${userId}`;
        return this.#call("POST", `${of}/reauthorizations`, { body });
    }

    /** @param {string} reauthorizationId @returns {Promise<Reauthorization>} */
    reauthorization(reauthorizationId) {
        return this.#call("GET", path`/reauthorizations/${reauthorizationId}`);
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
            const answer = await this.#send(method, target, body).catch((cause) => {
                if (last) throw new ReauthError({ code: "no_answer", status: 0, message: `${method}: no answer`, cause });
            });
            if (answer?.status && answer.status < 300) return answer.text ? JSON.parse(answer.text) : undefined;
            if (answer && (last || !TEMPORARY.includes(answer.status))) throw problem(answer);
            await sleep(Math.min(answer?.wait || PAUSE_MS * 2 ** attempt * Math.random(), LONGEST_PAUSE_MS));
        }
    }

    /** One attempt, with its own signature. @param {string} method @param {string} target @param {unknown} body */
    async #send(method, target, body) {
        const aws = new AwsClient({ ...(await this.credentials()), service: "execute-api", region: this.region });
        const content = body ? { body: JSON.stringify(body), headers: { "content-type": "application/json" } } : {};
        const request = await aws.sign(this.url + target, { method, ...content });
        const response = await fetch(request, { redirect: "error", signal: AbortSignal.timeout(this.timeoutMs) });
        const [wait, requestId] = ["retry-after", "apigw-requestid"].map((name) => response.headers.get(name));
        return { status: response.status, text: await response.text(), wait: Number(wait) * 1_000, requestId };
    }
}

/** Encodes the values in a path. @param {TemplateStringsArray} parts @param {...string} values */
function path(parts, ...values) {
    return String.raw({ raw: parts }, ...values.map(encodeURIComponent));
}

/** API Gateway's own answers, such as 403 for a wrong signature, are not problems: their code is `http_403`.
 * @param {{ status: number, text: string, requestId: string | null }} answer */
function problem({ status, text, requestId }) {
    const body = /^{.*}$/s.test(text) ? JSON.parse(text) : {};
    const code = body.code ?? `http_${status}`;
    const message = `${status} ${code}: ${body.detail ?? body.message ?? "no detail"}`;
    return new ReauthError({ code, status, message, requestId: body.requestId ?? requestId ?? undefined });
}
