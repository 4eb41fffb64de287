// An application with digi.me's Node.js SDK and digime-reauth: it reads a user's data, is notified, shows the user a banner
// with the reconnect link, and asks the API when the user comes back. README.md lists its variables.
import { readFileSync } from "node:fs";
import { createServer, IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { ReauthClient, ReauthError } from "./digime-reauth.mjs";

/** @param {string} name @param {string} [otherwise] */
function setting(name, otherwise) {
    const value = process.env[name] || otherwise;
    if (value === undefined) throw new Error(`the variable ${name} is not set`);
    return value;
}

const port = Number(setting("PORT", "3000"));
const origin = setting("ORIGIN", `http://127.0.0.1:${port}`);
const userId = setting("USER_ID", "demo-user"); // A real application takes it from the session of its user.
const contractId = setting("DIGIME_CONTRACT_ID");
const contractDetails = { contractId, privateKey: readFileSync(setting("DIGIME_PRIVATE_KEY_FILE"), "utf8") };
const { init } = await import(setting("DIGIME_SDK", "@digime/digime-sdk-nodejs"));
const applicationId = setting("DIGIME_APPLICATION_ID");
const { DIGIME_BASE_URL: baseUrl, DIGIME_ONBOARD_URL: onboardUrl } = process.env;
const sdk = init({ applicationId, ...(baseUrl && { baseUrl }), ...(onboardUrl && { onboardUrl }) });
const reauth = new ReauthClient({
    url: setting("REAUTH_API_URL"),
    region: setting("AWS_REGION", "eu-west-1"),
    credentials: () => ({
        accessKeyId: setting("AWS_ACCESS_KEY_ID"),
        secretAccessKey: setting("AWS_SECRET_ACCESS_KEY"),
        sessionToken: process.env.AWS_SESSION_TOKEN,
    }),
    webhookSecret: setting("WEBHOOK_SECRET"),
});

const [READ_LIMIT_MS, POLL_MS, LONGEST_BODY] = [120_000, 1_000, 262_144];
/** @typedef {import("./digime-reauth.mjs").Event} Event @typedef {[number, string]} Answer the status and the HTML */
/** The newest event of each account, or of each contract. A real application has a database. @type {Map<string, Event>} */
const notifications = new Map();

/** Reads the user's data, and hands in the result. */
async function read(again = false) {
    const observedAt = new Date();
    const before = await reauth.grant(userId, contractId);
    if (before.status !== "active") return before.status;
    try {
        const { session, userAccessToken } = await sdk.readSession({ contractDetails, userAccessToken: before });
        let pair = await reauth.storeGrant(userId, contractId, userAccessToken, before);
        for (const end = Date.now() + READ_LIMIT_MS; Date.now() < end; await sleep(POLL_MS)) {
            const list = await sdk.readFileList({ ...contractDetails, sessionKey: session.key, userAccessToken: pair });
            pair = await reauth.storeGrant(userId, contractId, list.userAccessToken, pair);
            // Here the application fetches the files of `list.fileList` with `sdk.readFile`.
            if (!["completed", "partial"].includes(list.status.state)) continue;
            await reauth.handInReadResult(userId, { contractId, observedAt, readResult: list });
            return list.status.state;
        }
        return "unfinished";
    } catch (error) {
        // digi.me refuses both tokens: another caller has refreshed the pair, or the user must authorize again. When the
        // service asks digi.me for the accounts, it finds out which, and the grant's status says it.
        if (again || /** @type {any} */ (error).error?.code !== "InvalidToken") throw error;
        await reauth.accounts(userId, { refresh: true }).catch(() => undefined);
        return read(true);
    }
}

/** Events may arrive twice, and out of order. A failed attempt changes nothing for the banner. @param {Event} event */
function note(event) {
    if (event.type.endsWith("_failed")) return;
    const { accountId, contractId, userId, sequence } = event.data;
    const key = `${userId} ${accountId ?? contractId}`;
    if (sequence > (notifications.get(key)?.data.sequence ?? 0)) notifications.set(key, event);
}

const escape = (/** @type {unknown} */ value) => String(value).replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);

function banners() {
    const own = [...notifications.values()].filter(({ data, type }) => data.userId === userId && type.endsWith("_required"));
    return own.map(({ data: { serviceName, reconnectUrl, recoverable } }) => {
        // If it is not recoverable, the page of the link cannot help: the user authorizes the application from scratch.
        const [url, action] = recoverable === false ? ["/connect", "Connect again"] : [reconnectUrl, "Reconnect"];
        const what = escape(serviceName ?? "your data");
        return `<p role="status">Your connection to ${what} has ended. <a href="${escape(url)}">${action}</a></p>`;
    });
}

/** @type {Record<string, (request: IncomingMessage, url: URL) => Promise<Answer>>} */
const routes = {
    "GET /": async () => [200, `${banners().join("")}<form method="post" action="/read"><button>Read</button></form>`],
    "GET /connect": async () => [200, "<p>Here a real application calls the SDK's <code>getAuthorizeUrl</code>.</p>"],
    "POST /read": async () => [200, `<p>The read is ${escape(await read())}.</p><a href="/">Back</a>`],
    "POST /webhook": async (request) => {
        if (Number(request.headers["content-length"] ?? Infinity) > LONGEST_BODY) return [413, ""];
        const event = text(request).then((body) => reauth.verifyWebhook(request.headers, body));
        return event.then(note).then(() => [204, ""], () => [401, ""]);
    },
    // The query is a hint that anybody can write. The API knows.
    "GET /returned": async (_, url) => {
        const { status, ...reauthorization } = await reauth.reauthorization(url.searchParams.get("reauthorizationId") ?? "");
        if (reauthorization.userId !== userId) return [404, "<p>There is no such reauthorization.</p>"];
        return [200, `<p>The reconnection is ${escape(status)}.</p><a href="/">Back</a>`];
    },
};

/** @param {IncomingMessage} request @returns {Promise<Answer>} */
async function answer(request) {
    if (!request.url || !URL.canParse(request.url, origin)) return [400, "<p>This address is not valid.</p>"];
    const url = new URL(request.url, origin);
    return (await routes[`${request.method} ${url.pathname}`]?.(request, url)) ?? [404, "<p>Not found.</p>"];
}

createServer(async (request, response) => {
    const [status, html] = await answer(request).catch((error) => {
        const known = error instanceof ReauthError;
        console.error(known ? `${error.message} (request ${error.requestId})` : error);
        return /** @type {Answer} */ ([502, `<p>That did not work${known ? `: ${escape(error.code)}` : ""}.</p>`]);
    });
    const page = `<!doctype html><html lang="en"><title>Example</title>${html}`;
    response.writeHead(status, { "content-type": "text/html; charset=utf-8" }).end(html && page);
}).listen(port, "127.0.0.1", () => console.log(`The application listens on ${origin}`));
