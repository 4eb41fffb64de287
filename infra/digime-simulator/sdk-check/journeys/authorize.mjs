// The first authorization, and the first read with its session.
import assert from "node:assert/strict";
import { callback, step, submit, submitEachError } from "../harness.mjs";

export async function authorize(user) {
    const { sdk, contractDetails } = user;
    const authorization = await step("getAuthorizeUrl", () =>
        sdk.getAuthorizeUrl({ contractDetails, callback, state: "s1", serviceId: 3 }),
    );
    await step("the page of a first authorization, ended with each error code", () =>
        submitEachError(authorization.url, "s1"),
    );
    const consent = await step("the page of a first authorization", () => submit(authorization.url, "success"));
    assert.deepEqual([consent.get("success"), consent.get("state")], ["true", "s1"]);
    assert.ok(consent.get("accountReference"));

    user.userAccessToken = await step("exchangeCodeForToken", () =>
        sdk.exchangeCodeForToken({
            contractDetails,
            authorizationCode: consent.get("code"),
            codeVerifier: authorization.codeVerifier,
        }),
    );
    const { accessToken, refreshToken } = user.userAccessToken;
    assert.ok(accessToken.value && refreshToken.value && refreshToken.expiry > accessToken.expiry);

    const [account] = await step("readAccounts", () => user.accounts());
    assert.equal(account.accessTokenStatus.authorized, true);
    user.accountId = account.id;
    const first = await step("the first read, with the session of the authorization", () => user.read(authorization));
    assert.deepEqual(first, { state: "completed", details: { [account.id]: { state: "completed" } } });
}
