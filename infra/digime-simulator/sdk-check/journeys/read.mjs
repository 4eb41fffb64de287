// Reads that end with an error of the source, with the application's loop and with the SDK's.
import assert from "node:assert/strict";
import { control, step } from "../harness.mjs";

const SHAPES = {
    documented: { error: { message: "Service authorization required", reauth: true } },
    sdk: { message: "Service authorization required", reauth: true },
};

export async function readErrors(user) {
    const healthy = await step("readAllFiles", () => user.readAllFiles());
    assert.equal(healthy.status.state, "completed");
    assert.deepEqual(healthy.states, ["running", "completed"]);

    for (const [shape, error] of Object.entries(SHAPES)) {
        await user.breakAccount(shape);
        const expected = {
            state: "partial",
            error: { code: "ServiceAuthorizationError", statusCode: 511, ...error },
        };
        const status = await step(`a read up to the 511 error (${shape})`, () => user.read());
        assert.equal(status.state, "partial");
        assert.deepEqual(status.details[user.accountId], expected);
        const all = await step(`readAllFiles up to the 511 error (${shape})`, () => user.readAllFiles());
        assert.deepEqual(all, { status, states: ["running", "partial"] });
    }
    assert.equal(await user.authorized(), false);
    await control("POST", `accounts/${user.accountId}/mend`);

    const error = { code: "RateLimitExceeded", statusCode: 429, retryAfter: Date.now() + 60_000 };
    await control("PUT", `accounts/${user.accountId}/error`, { error });
    const limited = await step("a read up to an error that needs no user", () => user.read());
    assert.deepEqual(limited.details[user.accountId], { state: "partial", error });
    assert.equal(await user.authorized(), true);
    await control("PUT", `accounts/${user.accountId}/error`, { error: null });
}
