// Starts the application against the local system: `node local.mjs [address of the local system]`. The local system says what
// the variables are, and a substitute takes the place of digi.me's SDK.
const address = process.argv[2] ?? "http://127.0.0.1:9000";
const response = await fetch(`${address}/_local/info`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
if (!response?.ok) throw new Error(`no local system answers at ${address}: start it, or name its address (npm run local URL)`);
const info = await response.json();
if (!info.webhook) throw new Error("start the local system with --webhook-url http://127.0.0.1:3000/webhook");
const contractId = process.env.DIGIME_CONTRACT_ID || "demo-contract";
const contract = info.contracts.find((/** @type {{ contractId: string }} */ one) => one.contractId === contractId);
if (!contract) throw new Error(`the local system has no contract ${contractId}`);
Object.assign(process.env, {
    REAUTH_API_URL: info.apiUrl,
    WEBHOOK_SECRET: info.webhook.secret,
    AWS_REGION: info.credentials.region,
    AWS_ACCESS_KEY_ID: info.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: info.credentials.secretAccessKey,
    DIGIME_APPLICATION_ID: contract.applicationId,
    DIGIME_CONTRACT_ID: contract.contractId,
    DIGIME_PRIVATE_KEY_FILE: contract.privateKeyFile,
    DIGIME_BASE_URL: info.digimeBaseUrl,
    DIGIME_ONBOARD_URL: info.digimeOnboardUrl,
    DIGIME_SDK: process.env.DIGIME_SDK ?? "../../../infra/digime-simulator/sdk-check/substitute.mjs",
    PORT: new URL(info.webhook.url).port,
});
// The token of a developer's own AWS session does not belong to these credentials.
delete process.env.AWS_SESSION_TOKEN;
await import("./app.mjs");
