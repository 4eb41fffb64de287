// The two pages on which a user authorizes again: for one account, and for the application.
import assert from "node:assert/strict";
import { callback, control, step, submit, submitEachError } from "../harness.mjs";

export async function reauthorizeAccount(user) {
    await user.breakAccount();
    const url = async () => {
        const { accountId } = user;
        return (await user.sdk.getReauthorizeAccountUrl({ ...user.credentials, callback, accountId })).url;
    };
    await control("POST", "signing-key/rotate", { form: "spki" });
    const first = await step("getReauthorizeAccountUrl, signed with a rotated key", url);
    await step("the page of an account, ended with each error code", () => submitEachError(first, null));
    assert.equal(await user.authorized(), false);
    const done = await step("the page of an account", () => submit(first, "success"));
    assert.equal(done.get("success"), "true");
    assert.equal((await step("a read after the reauthorization", () => user.read())).state, "completed");
    assert.equal(await user.authorized(), true);
}

export async function reauthorizeUser(user) {
    const { sdk, contractDetails } = user;
    await user.control("expire-access-tokens");
    await user.control("kill-refresh-tokens");
    const dead = { name: "DigiMeServerError", message: "The token (refresh_token) is invalid" };
    await step("with a dead refresh token, every call is refused", () => assert.rejects(user.accounts(), dead));

    const asked = { ...user.credentials, callback, state: "s3" };
    const again = await step("getReauthorizeUrl, with an expired access token and a dead refresh token", () =>
        sdk.getReauthorizeUrl(asked),
    );
    await step("the page of the user, ended with each error code", () => submitEachError(again.url, "s3"));
    const confirmed = await step("the page of the user", () => submit(again.url, "success"));
    assert.deepEqual([confirmed.get("success"), confirmed.get("state")], ["true", "s3"]);
    const exchange = { contractDetails, authorizationCode: confirmed.get("code"), codeVerifier: again.codeVerifier };
    const { id } = user.userAccessToken.user;
    user.userAccessToken = await step("exchangeCodeForToken, after the page of the user", () =>
        sdk.exchangeCodeForToken(exchange),
    );
    assert.equal(user.userAccessToken.user.id, id);
    await step("exchangeCodeForToken, with a code that was used", () =>
        assert.rejects(sdk.exchangeCodeForToken(exchange), { name: "DigiMeServerError" }),
    );
    assert.equal((await user.accounts()).length, 1);
}
