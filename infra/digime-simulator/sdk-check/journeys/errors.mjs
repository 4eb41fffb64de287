// How errors of digi.me, and wrong parameters, reach an application.
import assert from "node:assert/strict";
import { callback, control, step } from "../harness.mjs";

/** The statuses are ones after which the SDK's HTTP client does not repeat a request. */
const ANSWERS = [
    [400, "SDKInvalid", "SDKInvalidError"],
    [403, "SDKVersionInvalid", "SDKInvalidError"],
    [401, "InsufficientScope", "DigiMeServerError"],
    [406, "InvalidRequest", "DigiMeServerError"],
    [511, "ServiceAuthorizationError", "DigiMeServerError"],
];

export async function refuseWithNamedErrors(user) {
    const { sdk } = user;
    for (const [status, code, name] of ANSWERS) {
        const failure = { status, code, message: `The reason of ${code}` };
        await control("POST", "failures", { path: "permission-access/trigger", failure });
        await step(`${status} ${code} is a ${name}`, () =>
            assert.rejects(sdk.readSession(user.credentials), (error) => {
                assert.equal(error.name, name);
                assert.equal(error.message, failure.message);
                assert.equal(error.error.code, code);
                assert.equal(error.error.statusCode, status);
                return true;
            }),
        );
    }
    const page = { status: 403, body: "<h1>Forbidden</h1>" };
    await control("POST", "failures", { path: "permission-access/trigger", failure: page });
    await step("an answer that is not digi.me's is an HTTPError", () =>
        assert.rejects(sdk.readSession(user.credentials), { name: "HTTPError" }),
    );
    await control("DELETE", "failures");

    const elsewhere = { ...user.credentials, callback: "https://elsewhere.example/", accountId: user.accountId };
    await step("a callback that is not registered", () =>
        assert.rejects(sdk.getReauthorizeAccountUrl(elsewhere), ({ error }) => error.code === "InvalidRedirectUri"),
    );
    const contractDetails = { ...user.contractDetails, contractId: "another-contract" };
    await step("a contract that digi.me does not know", () =>
        assert.rejects(
            sdk.readSession({ ...user.credentials, contractDetails }),
            ({ error }) => error.code === "InvalidClient",
        ),
    );
    await step("a session that does not exist", () =>
        assert.rejects(
            sdk.readFileList({ ...user.reading({ key: "none" }) }),
            ({ error }) => error.code === "InvalidRequest" && error.statusCode === 406,
        ),
    );
    const incomplete = { userAccessToken: user.userAccessToken, contractDetails: { contractId: "", privateKey: "" } };
    await step("parameters of another form are a TypeValidationError, before any request", () =>
        assert.rejects(sdk.readSession({ ...incomplete, callback }), { name: "TypeValidationError" }),
    );
}
