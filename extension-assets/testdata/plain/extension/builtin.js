/** @type {{serverURL: string, bitbucketURLs: string[]} | null} */
export const builtin = null;
