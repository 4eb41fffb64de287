// A further service, and reads of some of the accounts.
import assert from "node:assert/strict";
import { callback, step, submit, submitEachError } from "../harness.mjs";

export async function addService(user) {
    const { sdk } = user;
    const further = await step("getOnboardServiceUrl", () =>
        sdk.getOnboardServiceUrl({ ...user.credentials, callback, serviceId: 2, state: "s2" }),
    );
    await step("the page of a further service, ended with each error code", () =>
        submitEachError(further.url, "s2"),
    );
    const added = await step("the page of a further service", () => submit(further.url, "success"));
    assert.deepEqual([added.get("success"), added.get("state"), added.get("code")], ["true", "s2", null]);
    const both = await step("a read with the session of the further service", () => user.read(further));
    assert.equal(Object.keys(both.details).length, 2);
}

export async function readWithFilter(user) {
    const filtered = (...id) => ({ sessionOptions: { sourceFetchFilter: { account: { id } } } });
    const other = (await user.accounts()).find(({ id }) => id !== user.accountId).id;
    await user.breakAccount();
    for (const [id, state] of [[other, "completed"], [user.accountId, "partial"]]) {
        const status = await step(`readSession with a sourceFetchFilter, ${state}`, () => user.read(filtered(id)));
        assert.equal(status.state, state);
        assert.deepEqual(Object.keys(status.details), [id]);
    }
    const all = await step("readSession without a filter", () => user.read());
    assert.deepEqual(Object.keys(all.details).sort(), [user.accountId, other].sort());
}
