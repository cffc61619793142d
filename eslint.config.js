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
      // It asks for the very `!` that no-non-null-assertion forbids.
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
    },
  },
  { files: ["www/lib/**/*.ts"], languageOptions: { parserOptions: { project: "tsconfig.lib.json" } } },
  { files: ["www/demo/**/*.ts"], languageOptions: { parserOptions: { project: "tsconfig.json" } },
    rules: {
      // Listeners may be asynchronous; what is taken apart here are closures, which know no `this`.
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: false }],
      "@typescript-eslint/unbound-method": "off",
      // An intake's work is asynchronous by its interface, even where it needs no await.
      "@typescript-eslint/require-await": "off",
      // ArrayLike can't be iterated over.
      "@typescript-eslint/prefer-for-of": "off",
      // byId<HTMLInputElement>(id) says what the page's HTML holds.
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  {
    files: ["**/*.{js,mjs}"],
    extends: [tseslint.configs.recommended],
    rules: { eqeqeq: "error", "no-undef": "off", "prefer-const": "error" },
  },
);
