"use strict";
// Swagger UI asks no other server: no validator, and only our own description.
SwaggerUIBundle({url: "/openapi.json", dom_id: "#rest", deepLinking: true, validatorUrl: null, presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"});
const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const follow = () => document.documentElement.classList.toggle("dark-mode", dark());
addEventListener("themechange", follow);
follow();
