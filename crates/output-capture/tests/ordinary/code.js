const { token, password } = req.body;
const secret = process.env.SECRET;
const apiKey = config.get("apiKey");
headers: { Authorization: `Bearer ${token}`, "X-Api-Key": apiKey },
if (!token || token === "undefined") throw new Error("token: missing");
function verify(token: string, secret: string): Promise<Token> { return jwt.verify(token, secret); }
export interface Credentials { password: string; token?: string; secret: Buffer }
const accessToken = await getAccessToken({ password: form.password, token });
<input type="password" name="password" placeholder="Password" autocomplete="current-password">
i18n.t('login.password'); i18n.t("token.expired");
password: yup.string().required('password is required'),
