// The user of the walk, as an application sees the user: the token pair, the accounts and the reads.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { control } from "./harness.mjs";

const MAX_POLLS = 5;
const POLL_MS = 20;

export class User {
    /** Kept from one journey to the next. */
    userAccessToken;
    accountId;

    constructor(sdk, contractDetails) {
        this.sdk = sdk;
        this.contractDetails = contractDetails;
    }

    /** The parameters that most functions of the SDK take. */
    get credentials() {
        return { contractDetails: this.contractDetails, userAccessToken: this.userAccessToken };
    }

    /** The parameters of `readFileList` and `readAllFiles`, which name the contract differently. */
    reading(session) {
        return { sessionKey: session.key, ...this.contractDetails, userAccessToken: this.userAccessToken };
    }

    async accounts() {
        return (await this.sdk.readAccounts(this.credentials)).accounts;
    }

    async authorized() {
        const account = (await this.accounts()).find(({ id }) => id === this.accountId);
        return account.accessTokenStatus.authorized;
    }

    /** Reads to the end, in the given session or in a new one, and returns the status. */
    async read({ session, sessionOptions } = {}) {
        session ??= (await this.sdk.readSession({ ...this.credentials, sessionOptions })).session;
        for (let poll = 0; poll < MAX_POLLS; poll += 1) {
            const list = await this.sdk.readFileList(this.reading(session));
            assert.deepEqual(list.fileList, []);
            if (list.status.state !== "running") return list.status;
            await sleep(POLL_MS);
        }
        throw new Error("the read session never ended");
    }

    /** Reads to the end with the SDK's own loop, and returns the status and the states that it reported on the way.
     * `begun` runs when the session exists. */
    async readAllFiles(begun = async () => {}) {
        const { session } = await this.sdk.readSession(this.credentials);
        await begun();
        const states = [];
        const { filePromise } = this.sdk.readAllFiles({
            ...this.reading(session),
            onFileData: () => assert.fail("the simulator has no files"),
            onFileError: ({ error }) => assert.fail(error),
            onStatusChange: (state) => states.push(state),
            onAccessTokenChange: (pair) => (this.userAccessToken = pair),
        });
        return { status: await filePromise, states };
    }

    /** digi.me's side of this user. */
    async control(action) {
        await control("POST", `users/${this.userAccessToken.user.id}/${action}`);
    }

    async breakAccount(shape = "documented") {
        await control("POST", `accounts/${this.accountId}/break`, { shape });
    }
}
