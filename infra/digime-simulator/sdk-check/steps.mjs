// The walk that both checks take: from the first authorization of a user to the deletion of the user.
import { newContract } from "./harness.mjs";
import { authorize } from "./journeys/authorize.mjs";
import { refuseWithNamedErrors } from "./journeys/errors.mjs";
import { deleteAll, revoke } from "./journeys/end.mjs";
import { addService, readWithFilter } from "./journeys/onboard.mjs";
import { readErrors } from "./journeys/read.mjs";
import { reauthorizeAccount, reauthorizeUser } from "./journeys/reauthorize.mjs";
import { refresh } from "./journeys/refresh.mjs";
import { User } from "./user.mjs";

/** `sdk` has the functions of the official Node.js SDK, as its `init` returns them. */
export async function walk(sdk) {
    const user = new User(sdk, await newContract());
    for (const journey of [
        authorize,
        readErrors,
        refresh,
        reauthorizeAccount,
        reauthorizeUser,
        addService,
        readWithFilter,
        refuseWithNamedErrors,
        revoke,
        deleteAll,
    ]) {
        await journey(user);
    }
}
