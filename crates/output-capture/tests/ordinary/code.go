type Config struct {
	Token    string `json:"token" yaml:"token"`
	Password string `json:"password,omitempty"`
	Secret   []byte
}
	token := os.Getenv("TOKEN")
	secret, err := client.CoreV1().Secrets(ns).Get(ctx, name, metav1.GetOptions{})
	req.Header.Set("Authorization", "Bearer "+token)
	for token := lexer.Next(); token.Kind != EOF; token = lexer.Next() {
	log.Printf("password: %s", mask(password))
	fmt.Fprintf(w, "token=%s&secret=%s", token, secret)
	case token.ADD: // token.SUB
