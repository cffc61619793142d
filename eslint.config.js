import { createTypeScriptImportResolver } from "eslint-import-resolver-typescript";
import { importX } from "eslint-plugin-import-x";
import tseslint from "typescript-eslint";

export default tseslint.config(
  {
    ignores: ["dist", "target", "node_modules", "docs/api", "www/lib/engine.*", "www/lib/generated.ts", "**/out", "training", "../shared"],
  },
  {
    files: ["www/**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    rules: {
      // Numbers and booleans read well in messages.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      // Callers in JavaScript may pass anything, whatever the types say.
      "@typescript-eslint/no-unnecessary-condition": "off",
      // It asks for the `!` that no-non-null-assertion forbids.
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
    },
  },
  {
    files: ["www/**/*.ts"],
    plugins: { "import-x": importX },
    settings: {
      "import-x/parsers": { "@typescript-eslint/parser": [".ts"] },
      "import-x/resolver-next": [createTypeScriptImportResolver({ project: "tsconfig.json" })],
    },
    rules: {
      "import-x/no-cycle": ["error", { ignoreExternal: true }],
      "import-x/order": [
        "error",
        {
          groups: [
            ["builtin", "external"],
            ["parent", "sibling", "index"],
          ],
          alphabetize: { order: "asc" },
          "newlines-between": "never",
        },
      ],
    },
  },
  { files: ["www/lib/**/*.ts"], languageOptions: { parserOptions: { project: "tsconfig.lib.json" } } },
  {
    files: ["www/demo/**/*.ts"],
    languageOptions: { parserOptions: { project: "tsconfig.json" } },
    rules: {
      // Listeners may be asynchronous; the methods destructured here are closures without `this`.
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: false }],
      "@typescript-eslint/unbound-method": "off",
      // An interface may require an asynchronous function that needs no await.
      "@typescript-eslint/require-await": "off",
      // ArrayLike is not iterable.
      "@typescript-eslint/prefer-for-of": "off",
      // byId<HTMLInputElement>(id) states what the page's HTML contains.
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  {
    files: ["**/*.{js,mjs}"],
    extends: [tseslint.configs.recommended],
    rules: { eqeqeq: "error", "no-undef": "off", "prefer-const": "error" },
  },
);
