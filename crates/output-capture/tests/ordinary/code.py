import getpass
from secrets import token_hex

def login(user, password=None, token=None, *, api_key: str = "", secret: Optional[str] = None):
    password = password or getpass.getpass("Password: ")
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    secret = os.environ["SECRET_KEY"]
    if token == expected_token and password != previous_password:
        return Session(token=token, password=self.password, secret=secret)
    raise AuthError(f"token: {token!r} is not valid")

class Token(NamedTuple):
    token: str
    password: str
    secret: bytes

parser.add_argument("--token", help="token: the access token, see --password")
parser.add_argument("--password", default=None)
tokens = [token for token in tokenizer.tokens if token.kind]
SECRET_KEY = config("SECRET_KEY")
api_key = settings.api_key
auth_token = generate_token(user_id=user.id)
