import"./chunk-YWUVQH6Y.js";import{d as a}from"./chunk-77LHREAN.js";import"./chunk-6XMGV35P.js";export{a as connect};
