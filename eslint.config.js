import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "target", "node_modules", "docs/api", "www/lib/engine.*", "**/out", "training", "../shared"] },
  {
    files: ["www/**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    rules: {
      // Numbers and addresses read well in messages.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      // Input comes from JavaScript, too, where types are only a hope.
      "@typescript-eslint/no-unnecessary-condition": "off",
    },
  },
  { files: ["www/lib/**/*.ts"], languageOptions: { parserOptions: { project: "tsconfig.lib.json" } } },
  { files: ["www/demo/**/*.ts"], languageOptions: { parserOptions: { project: "tsconfig.json" } } },
  {
    files: ["**/*.{js,mjs}"],
    extends: [tseslint.configs.recommended],
    rules: { eqeqeq: "error", "no-undef": "off", "prefer-const": "error" },
  },
);
