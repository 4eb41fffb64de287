// A receiver of webhooks that verifies both signatures of each post: `v1` with the library of Standard Webhooks, `v1a` with Node's
// own crypto. It answers which of them are genuine, and prints each post of which both are.
// Its first line says that it listens.
import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const { WEBHOOK_SECRET, WEBHOOK_PUBLIC_KEY, PORT } = process.env;
const webhook = new Webhook(WEBHOOK_SECRET);
const x = Buffer.from(WEBHOOK_PUBLIC_KEY.replace("whpk_", ""), "base64").toString("base64url");
const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });

function succeeds(verification) {
    try {
        return verification() !== false;
    } catch {
        return false;
    }
}

function verifiesAsymmetric({ "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signatures = "" }, body) {
    const content = Buffer.from(`${id}.${seconds}.${body}`);
    const own = signatures.split(" ").filter((signature) => signature.startsWith("v1a,"));
    return own.some((signature) => verify(null, content, publicKey, Buffer.from(signature.slice(4), "base64")));
}

createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const v1 = succeeds(() => void webhook.verify(body, request.headers));
    const v1a = succeeds(() => verifiesAsymmetric(request.headers, body));
    if (v1 && v1a) console.log(JSON.stringify({ headers: request.headers, body }));
    response.writeHead(v1 && v1a ? 200 : 400, { "content-type": "application/json" }).end(JSON.stringify({ v1, v1a }));
}).listen(Number(PORT), "127.0.0.1", () => console.log("ready"));
