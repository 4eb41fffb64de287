// Sample data, and the ways in which an account and a user go.
import assert from "node:assert/strict";
import { callback, control, step, submit } from "../harness.mjs";

export async function revoke(user) {
    const { sdk, accountId, contractDetails } = user;
    await control("POST", `accounts/${accountId}/mend`);
    const sets = await step("getServiceSampleDataSets", () =>
        sdk.getServiceSampleDataSets({ contractDetails, sourceId: 2 }),
    );
    assert.equal(sets.default.name, "default");
    const { location } = await step("getRevokeAccountPermissionUrl", () =>
        sdk.getRevokeAccountPermissionUrl({ ...user.credentials, accountId, redirectUri: callback }),
    );
    const cancelled = await step("the page of a withdrawal, cancelled", () => submit(location, "USER_CANCEL"));
    assert.equal(cancelled.get("result"), "failed");
    assert.equal(await user.authorized(), true);
    assert.equal((await step("the page of a withdrawal", () => submit(location, "success"))).get("result"), "success");
    assert.equal(await user.authorized(), false);
}

export async function deleteAll(user) {
    const { sdk, accountId } = user;
    await step("deleteAccount", () => sdk.deleteAccount({ ...user.credentials, accountId }));
    assert.equal((await user.accounts()).length, 1);
    await step("deleteUser", () => sdk.deleteUser(user.credentials));
    // The SDK tries to refresh the pair, which is dead too.
    await assert.rejects(user.accounts(), /The token \((access|refresh)_token\) is invalid/);
}
