// What the SDK does when digi.me refuses the access token.
import assert from "node:assert/strict";
import { callback, step } from "../harness.mjs";

export async function refresh(user) {
    const { sdk } = user;
    const old = user.userAccessToken;
    user.userAccessToken = await step("refreshToken", () => sdk.refreshToken(user.credentials));
    assert.notEqual(user.userAccessToken.accessToken.value, old.accessToken.value);
    const refused = { name: "DigiMeServerError", message: "The token (refresh_token) is invalid" };
    await step("the old refresh token is dead", () =>
        assert.rejects(sdk.refreshToken({ ...user.credentials, userAccessToken: old }), refused),
    );

    const { session } = await sdk.readSession(user.credentials);
    const calls = {
        readSession: () => sdk.readSession(user.credentials),
        readFileList: () => sdk.readFileList(user.reading(session)),
        readAccounts: () => sdk.readAccounts(user.credentials),
        getReauthorizeAccountUrl: () =>
            sdk.getReauthorizeAccountUrl({ ...user.credentials, callback, accountId: user.accountId }),
        getOnboardServiceUrl: () => sdk.getOnboardServiceUrl({ ...user.credentials, callback, serviceId: 2 }),
    };
    for (const [name, call] of Object.entries(calls)) {
        const before = user.userAccessToken;
        await user.control("expire-access-tokens");
        const result = await step(`${name}, refreshing an expired access token`, call);
        assert.notEqual(result.userAccessToken.accessToken.value, before.accessToken.value);
        user.userAccessToken = result.userAccessToken;
        const again = await call();
        assert.equal(again.userAccessToken.accessToken.value, user.userAccessToken.accessToken.value);
    }
    await step("readAllFiles, refreshing an expired access token on the way", async () => {
        const before = user.userAccessToken;
        const { status } = await user.readAllFiles(() => user.control("expire-access-tokens"));
        assert.equal(status.state, "completed");
        assert.notEqual(user.userAccessToken.accessToken.value, before.accessToken.value);
        assert.equal((await user.accounts()).length, 1);
    });
    await step("a pair that another caller has refreshed is refused", async () => {
        const stale = user.userAccessToken;
        user.userAccessToken = await sdk.refreshToken(user.credentials);
        const error = { name: "DigiMeServerError", message: "The token (refresh_token) is invalid" };
        await assert.rejects(sdk.readSession({ ...user.credentials, userAccessToken: stale }), error);
    });
}
