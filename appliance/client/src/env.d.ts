/** Version of this client, from package.json. */
declare const __APP_VERSION__: string;
