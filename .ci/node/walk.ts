// Uses the typed client against a running local system: node build/walk.js <API>
import { message, reauth, Refused } from "./client.js";

declare const process: { argv: string[] };

function check(fact: unknown, what: string): asserts fact {
  if (!fact) throw new Error(what);
}

const api = reauth(process.argv[2] ?? "");

const { accounts, grants } = await api.listAccountsOfUser("demo-user");
check(grants[0]?.status === "active", "the grant is active");
const account = accounts.find((account) => account.accountId === "1_demo-bank");
check(account?.serviceName === "Meadow Bank", "Meadow Bank is listed");
const grant = await api.getGrant("demo-user", "demo-contract");
await api.putGrant("demo-user", "demo-contract", grant);
const { status: _, ...userAccessToken } = grant;
await api.putGrant("demo-user", "demo-contract", { userAccessToken, contact: { email: "ann@example.org", locale: "nl" } });
const contact = await api.getContact("demo-user");
check(contact.emails === "active" && contact.locale === "nl" && !contact.email.includes("ann"), "the contact is stored");

const created = await api.createReauthorization("demo-user", account.accountId, { locale: "en" });
const reauthorization = await api.getReauthorization(created.reauthorizationId);
check(reauthorization.status === "pending" && reauthorization.kind === "account", "the reauthorization waits");

const readResult = { [account.accountId]: { state: "partial", error: { code: "ServiceAuthorizationError" } } };
const { ignored } = await api.takeReadResult("demo-user", { contractId: "demo-contract", readResult });
check(ignored.length === 0, "nothing is ignored");
const deadline = Date.now() + 20_000;
let lost = await api.getAccount("demo-user", account.accountId, true);
while (lost.status !== "reauth_required" && Date.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  lost = await api.getAccount("demo-user", account.accountId, true);
}
check(lost.status === "reauth_required", "the account is lost");
check(lost.events?.map(message).some((text) => text.startsWith("Meadow Bank is lost")), "the event is in the history");
const inNeed = await api.listAccountsInNeed();
check(inNeed.accounts.length === 1, "one account needs its user");

const refused = await api.getAccount("nobody", "1_demo-bank").catch((error: unknown) => error);
check(refused instanceof Refused && refused.status === 404 && "code" in refused.problem, "a problem");
check(refused.problem.code === "user_not_found", "its code");
await api.forgetUser("demo-user");
